"""The published generators of the repository."""

import numpy as np
import pytest

from keras_gan import export, runs
from keras_gan.export import cards
from keras_gan.export.verification import verifier


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("digits", (8, 8, 1)),
        ("mnist", (28, 28, 1)),
        ("mnist_conditional", (28, 28, 1)),
    ],
)
def test_a_published_generator_is_whole_and_draws(root, tmp_path, name, shape):
    base = root / "saved_models" / name
    path = export.latest(base)
    assert sum(x.stat().st_size for x in path.rglob("*")) < 12e6
    # Digests and graph; `scripts/export.py --check` goes on to the server's loader.
    assert cards.file_faults(path) == []
    assert verifier.graph_faults(path) == []
    card = export.read_card(path)
    assert (
        card["dataset"] == name.removesuffix("_conditional")
        and "samples" in card["scores"]["rows"]
    )
    generator = runs.load_generator(base)
    samples = generator.generate(20, seed=3)
    assert samples.shape == (20, *shape)
    # Images with ink and paper, each its own.
    assert samples.max() > 0.9 and samples.min() < 0.1
    assert len(np.unique(samples.round(3), axis=0)) == 20
    runs.write_samples(base, tmp_path / "grid.png", 9, seed=0)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


def test_a_new_user_draws_a_seven(root):
    """The published digits are those that one asks for, to an outsider's eye."""
    from sklearn.neighbors import KNeighborsClassifier

    generator = runs.load_generator(root / "saved_models" / "mnist_conditional")
    labels = np.repeat(np.arange(10), 30)
    samples = generator.generate(300, seed=1, labels=labels).reshape(300, -1)
    # Digits of one class are nearer to each other than to those of others.
    half = np.arange(300) % 2 == 0
    nearest = KNeighborsClassifier(3).fit(samples[half], labels[half])
    assert nearest.score(samples[~half], labels[~half]) > 0.6
    sevens = generator.generate(20, seed=2, labels=7).reshape(20, -1)
    assert np.mean(nearest.predict(sevens) == 7) > 0.6
