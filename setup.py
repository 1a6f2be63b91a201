"""Packaging of keras_gan."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "keras_gan/version.py").read_text()
).group(1)

setup(
    name="keras_gan",
    version=VERSION,
    description="Generative adversarial nets as an ordinary Keras model",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["keras_gan", "keras_gan.*"]),
    python_requires=">=3.11,<3.14",
    install_requires=[
        "absl-py>=2.1",
        "keras>=3.15,<3.16",
        "matplotlib>=3.9",
        "numpy>=2.0",
        "pillow>=10.4",
        "scikit-learn>=1.6",
        "scipy>=1.14",
        "tensorflow>=2.21,<2.22",
        # Its protos write the warmup requests of an exported generator.
        "tensorflow-serving-api>=2.19,<2.22",
        "tensorflow-datasets>=4.9.10,<4.10",
        # tf.summary.image and tf.summary.scalar need it to write events.
        "tensorboard>=2.19,<3",
        # TFDS needs it to prepare MNIST, and does not declare it.
        "importlib_resources>=6.0",
        "tensorflow-probability>=0.25,<0.26",
        # Progress bars of the evaluation; TFDS brings it along already.
        "tqdm>=4.66",
        # TFP needs it to import at all; its version follows TensorFlow's.
        "tf-keras>=2.21,<2.22",
    ],
    extras_require={
        "benchmarks": ["torch>=2.6"],
        # pytest-xdist: `make test` in two processes. PyYAML reads the manifests of
        # serving/ in their tests.
        "dev": ["pytest>=8.0", "pytest-xdist>=3.6,<4", "pyyaml>=6.0", "ruff>=0.9"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
