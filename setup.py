"""Packaging of keras_gan.

Each lower bound is the oldest version that the tests passed with: `make test-oldest`
installs them. An upper bound stands only where a newer version is known to break.
"""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(
    r'__version__ = "(.+)"', (ROOT / "keras_gan/version.py").read_text()
).group(1)

# What `import keras_gan`, `keras-gan train --preset=digits` and `keras-gan generate`
# need.
REQUIRED = [
    "absl-py>=2.1",
    # 3.30: a lock of a file that is open already.
    "filelock>=3.30",
    # Older ones tell callbacks the first step of an execution, not its last, by which
    # checkpoints count.
    "keras>=3.11",
    "numpy>=2.0",
    "pillow>=10.4",
    "pydantic>=2.8",
    "safetensors>=0.5",
    "scikit-learn>=1.6",
    # 1.15 brought scipy.integrate.cubature.
    "scipy>=1.15",
    "tabulate>=0.9",
    "tensorflow>=2.18",
    "tensorflow-probability>=0.25",
    # TensorFlow Probability imports it. It pins the minor version of TensorFlow.
    "tf-keras>=2.18",
    # Older ones wait at exit, for ever, for a bar whose stream was closed.
    "tqdm>=4.69",
]
# What else the package can do. Without an extra, one line names it.
EXTRAS = {
    # Everything but pictures of images: the paper's figures, and plots of points.
    "figures": ["matplotlib>=3.9"],
    # MNIST, CIFAR-10 and others, by TensorFlow Datasets, which needs but does not
    # declare importlib_resources. tensorflow-metadata must be as old as the protobuf
    # that TensorFlow takes: with 2.18 and 2.19 it is 1.16.
    "datasets": [
        # Older ones wait for ever where there is no network.
        "tensorflow-datasets>=4.9.9",
        "tensorflow-metadata>=1.16",
        "importlib_resources>=6.0",
    ],
    # Pictures of phones in a folder of images: .heic, .heif.
    "heic": ["pillow-heif>=0.22"],
    # Films of walks through the latents, .mp4, by the ffmpeg that the second brings.
    "video": ["imageio>=2.34", "imageio-ffmpeg>=0.5"],
    # The protos of the server's gRPC, for serving/client.py; an export needs none.
    "serving": ["tensorflow-serving-api>=2.18"],
    # Generators as `.onnx` files, and their check. LiteRT needs nothing: TensorFlow has
    # its converter and a runtime. Older versions of tf2onnx pin an old protobuf.
    "onnx": ["onnx>=1.17", "onnxruntime>=1.20", "tf2onnx>=1.17"],
    # The events of a training: tf.summary.scalar and tf.summary.image.
    "tensorboard": ["tensorboard>=2.18"],
}
EXTRAS["all"] = [requirement for extra in EXTRAS.values() for requirement in extra]
# The page of `keras-gan demo`. Not among all: gradio brings a web server, pandas and
# some thirty packages more, which a machine that trains or serves has no use for.
EXTRAS["demo"] = ["gradio>=6.31"]
EXTRAS["gpu"] = ["tensorflow[and-cuda]>=2.18"]
# torch-fidelity and pytorch-fid: benchmarks/fid.py compares with them.
EXTRAS["benchmarks"] = ["torch>=2.6", "torch-fidelity>=0.4", "pytorch-fid>=0.3"]
# `make docs`. ruff: mkdocstrings breaks long signatures into lines by it.
EXTRAS["docs"] = ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.30", "ruff>=0.9"]
# The lectures in notebooks/, in Jupyter and by notebooks/execute.py.
EXTRAS["notebooks"] = [
    "ipykernel>=6.29", "matplotlib>=3.9", "nbclient>=0.10", "nbformat>=5.10",
]  # fmt: skip
# pytest-xdist: `make test` in two processes. PyYAML: the manifests of serving/.
# setuptools: a test builds the wheel. playwright: the page of `keras-gan demo` in a
# Chromium, by `playwright install chromium` or of the system.
EXTRAS["dev"] = [
    *EXTRAS["all"], *EXTRAS["demo"], *EXTRAS["docs"], *EXTRAS["notebooks"],
    "playwright>=1.65", "pytest>=8.3", "pytest-xdist>=3.6", "pyyaml>=6.0",
    "setuptools>=77.0.3",
]  # fmt: skip

setup(
    name="keras_gan",
    version=VERSION,
    description="Generative adversarial nets as an ordinary Keras model",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["keras_gan", "keras_gan.*"]),
    py_modules=["keras_gan_command"],
    entry_points={"console_scripts": ["keras-gan = keras_gan_command:main"]},
    python_requires=">=3.11",
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
