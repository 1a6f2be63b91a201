"""A discriminator of points by waves: against NumPy, and on detail it has to see."""

import keras
import numpy as np
import pytest

from keras_gan import layer_checks, networks, priors


def points(count=20, seed=0):
    low, high = np.float32([-4, 10]), np.float32([4, 10.5])
    share = np.random.default_rng(seed).uniform(size=(count, 2)).astype(np.float32)
    return low + share * (high - low), low, high


def test_it_is_a_network_of_the_position_and_of_waves():
    x, low, high = points()
    network = networks.fourier_discriminator((2,), low, high, units=8, depth=1, seed=3)
    waves = network.get_layer("waves").kernel.numpy()
    hidden, output = (layer.kernel.numpy() for layer in network.layers[-2:])
    assert waves.shape == (2, 128)
    # A half of the width is 1, so that pi times the waves in the width turn by pi.
    counts = np.linalg.norm(waves / np.pi, axis=0)
    assert counts.min() >= 1 and counts.max() <= 32
    assert np.median(np.log2(counts)) == pytest.approx(2.5, abs=0.7)
    position = 2 * (x - low) / (high - low) - 1
    features = np.concatenate(
        [position, np.sin(position @ waves), np.cos(position @ waves)], axis=1
    )
    expected = np.maximum(features @ hidden, 0) @ output
    np.testing.assert_allclose(network(x), expected, atol=1e-4)


def test_seeds_decide_the_waves_and_the_weights():
    one, again, other = (
        networks.fourier_discriminator((2,), 0, 1, seed=seed).get_weights()
        for seed in (1, 1, 2)
    )
    for a, b, c in zip(one, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any() or not a.any()


def test_it_is_saved(tmp_path):
    x, low, high = points()
    network = networks.fourier_discriminator((2,), low, high, seed=0)
    network.save(tmp_path / "judge.keras")
    loaded = keras.saving.load_model(tmp_path / "judge.keras")
    np.testing.assert_array_equal(loaded(x), network(x))
    layer_checks.check_layers([network], priors.get(priors.Normal(2)))


def test_labels_enter_it():
    network = networks.fourier_discriminator((2,), 0, 1, num_classes=3, seed=0)
    x = np.float32([[0.2, 0.4]] * 2)
    first, second = network({"samples": x, "labels": np.int32([0, 1])}).numpy()
    assert first != second


def test_phases_are_exact_in_16_bits():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = networks.fourier_discriminator((2,), 0, 1, seed=0)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    full = networks.fourier_discriminator((2,), 0, 1, seed=0)
    x, *_ = points(200)
    x = (x - x.min(0)) / np.ptp(x, axis=0)
    assert mixed(x).dtype == "float32"
    difference = np.abs(mixed(x) - full(x)).mean() / np.std(full(x))
    assert difference < 0.05


@pytest.mark.parametrize(
    ("low", "high", "options", "message"),
    [
        (1.0, 1.0, {}, "Expected low < high"),
        (0.0, np.inf, {}, "Expected low < high, finite"),
        ([0.0, 0.0, 0.0], 1.0, {}, r"floats or arrays of shape \(2,\)"),
        (0.0, 1.0, {"octaves": -1}, "Expected octaves from 0 to 20"),
        (0.0, 1.0, {"num_features": 0}, "num_features"),
        (0.0, 1.0, {"depth": 0}, "depth"),
    ],
)
def test_wrong_arguments_are_one_line(low, high, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        networks.fourier_discriminator((2,), low, high, **options)
    assert "\n" not in str(caught.value)
