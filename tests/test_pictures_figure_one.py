"""Figure 1: its frames against SciPy, their file, and what the drawing shows."""

import dataclasses
import io
import warnings

import keras
import numpy as np
import PIL.Image
import pytest
import scipy.special
import scipy.stats
import tensorflow_probability as tfp

import keras_gan
from keras_gan.pictures import figure_one, formats, frames
from tests import helpers

tfd = tfp.distributions


def affine_gan(prior, scale=0.5, shift=2.0, weight=1.0, bias=0.0):
    """G(z) = scale * z + shift, D(x) = sigmoid(weight * x + bias)."""
    networks = []
    for kernel, offset in ((scale, shift), (weight, bias)):
        network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        network.set_weights([np.array([[kernel]]), np.array([offset])])
        networks.append(network)
    return keras_gan.GAN(*networks, prior, value_range=None, seed=0)


def gaussian(mean=2.0, deviation=0.5):
    return tfd.MultivariateNormalDiag([mean], [deviation])


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        (keras_gan.priors.Normal(1), scipy.stats.norm(2.0, 0.5)),
        (
            keras_gan.priors.Uniform(1),
            scipy.stats.uniform(2 - 0.5 * 3**0.5, 3**0.5),
        ),
    ],
)
def test_a_frame_of_known_maps_is_known(prior, law):
    gan = affine_gan(prior, weight=-3.0, bias=4.0)
    frame = frames.frame_of(gan, gaussian())
    width = frame.x[1] - frame.x[0]
    np.testing.assert_allclose(frame.x[[0, -1]], [-0.5 + width / 2, 4.5 - width / 2])
    expected = scipy.stats.norm(2.0, 0.5).pdf(frame.x)
    np.testing.assert_allclose(frame.data_density, expected, atol=1e-5)
    # Each cell's share is binomial: five standard deviations.
    share = law.cdf(frame.x + width / 2) - law.cdf(frame.x - width / 2)
    tolerance = 5 * np.sqrt(share * (1 - share) / 50_000) + 1e-4
    assert (np.abs(frame.generator_density * width - share) < tolerance).all()
    assert frame.generator_density.sum() * width == pytest.approx(1, abs=1e-4)
    expected = scipy.special.expit(-3.0 * frame.x + 4.0)
    np.testing.assert_allclose(frame.discriminator, expected, atol=1e-5)
    np.testing.assert_allclose(frame.samples, 0.5 * frame.latents + 2.0, atol=1e-5)
    quantiles = law.ppf((np.arange(17) + 0.5) / 17)
    np.testing.assert_allclose(frame.samples, quantiles, atol=0.03)
    assert frame.step == 0


def test_a_frame_of_a_discriminator_that_is_certain_is_finite():
    gan = affine_gan(keras_gan.priors.Normal(1), weight=-1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = frames.frame_of(gan, gaussian())
    np.testing.assert_array_equal(frame.discriminator, frame.x < 0)


def test_a_frame_takes_one_dimension():
    with pytest.raises(ValueError, match=r"Received: \(4,\), \(3,\) and \(1,\)"):
        frames.frame_of(helpers.tiny_gan(), gaussian())
    heavy = tfd.Independent(tfd.Cauchy([0.0], [1.0]), 1)
    with pytest.raises(ValueError, match="a mean and a variance"):
        frames.frame_of(affine_gan(keras_gan.priors.Normal(1)), heavy)


# === Conditional games ===

MEANS, SCALES, SHIFTS = (-2.0, 0.0, 2.0), (0.8, 0.4, 1.2), (2.0, 0.0, -1.0)


def mixture(means=MEANS):
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=np.zeros(len(means), np.float32)),
        tfd.MultivariateNormalDiag(
            np.float32(means)[:, None], np.full((len(means), 1), 0.5, np.float32)
        ),
    )


def test_a_frame_of_a_conditional_game_has_one_of_each_class():
    gan = helpers.one_dimensional_gan(SCALES, MEANS, SHIFTS)
    frame = frames.frame_of(gan, mixture())
    assert frame.num_classes == 3 and frame.x.shape == (100,)
    width = frame.x[1] - frame.x[0]
    # Within 5 standard deviations of the outer means.
    np.testing.assert_allclose(frame.x[[0, -1]], [-4.5 + width / 2, 4.5 - width / 2])
    own = []
    for label in range(3):
        law = scipy.stats.norm(MEANS[label], SCALES[label])
        game = frame.of_class(label)
        assert game.num_classes is None and game.data_density.shape == (100,)
        expected = scipy.stats.norm(MEANS[label], 0.5).pdf(frame.x)
        np.testing.assert_allclose(game.data_density, expected, atol=1e-5)
        share = law.cdf(frame.x + width / 2) - law.cdf(frame.x - width / 2)
        tolerance = 5 * np.sqrt(share * (1 - share) / 50_000) + 1e-4
        assert (np.abs(game.generator_density * width - share) < tolerance).all()
        expected = scipy.special.expit(frame.x + SHIFTS[label])
        np.testing.assert_allclose(game.discriminator, expected, atol=1e-5)
        expected = SCALES[label] * frame.latents + MEANS[label]
        np.testing.assert_allclose(game.samples, expected, atol=1e-5)
        own.append(frames.total_variation(game))
    assert frames.total_variation(frame) == pytest.approx(np.mean(own))
    assert min(own) < 0.9 * max(own)


def test_a_conditional_frame_takes_a_component_for_each_class():
    gan = helpers.one_dimensional_gan()
    for wrong in (mixture(MEANS[:2]), gaussian()):
        with pytest.raises(ValueError, match="a component for each of 3 classes") as e:
            frames.frame_of(gan, wrong)
        assert "\n" not in str(e.value)


def conditional_game(*means):
    """Two classes: one of `game(*means)`, and one that is at its goal all the time."""
    moving, still = game(*means), game(*[2.0] * len(means))
    return [
        dataclasses.replace(
            a,
            **{
                name: np.stack([getattr(a, name), getattr(b, name)])
                for name in frames._OF_CLASSES
            },
        )
        for a, b in zip(moving, still, strict=True)
    ]


def test_figure_1_has_a_row_for_each_class():
    played = conditional_game(1.0, 1.5, 2.0)
    picture = figure_one.figure_1(played, ("left", "right"))
    assert picture.shape == (380 + 340, 915, 3)
    # The first class moves to the right, the second does not.
    for rows, moves in (((60, 300), True), ((400, 640), False)):
        peaks = []
        for panel in range(3):
            columns = slice(60 + 280 * panel, 330 + 280 * panel)
            green = is_colour(picture[slice(*rows), columns], GREEN)
            found, at = np.nonzero(green)
            peaks.append(at[found <= found.min() + 4].mean())
        assert (peaks[2] - peaks[0] > 25) == moves
    animation = figure_one.figure_1_animation(played)
    assert [each.shape for each in animation] == [(400, 630, 3)] * 3
    left, right = (
        np.stack(animation)[:, 60:280, part]
        for part in (slice(0, 310), slice(330, 600))
    )
    assert (left[0] != left[2]).any()
    np.testing.assert_array_equal(right[0], right[2])


def test_conditional_frames_come_back_from_their_file(tmp_path):
    played = conditional_game(0.0, 1.0)
    frames.save_frames(tmp_path / "moments.npz", played)
    again = frames.load_frames(tmp_path / "moments.npz")
    assert [each.num_classes for each in again] == [2, 2]
    for old, new in zip(played, again, strict=True):
        for field in dataclasses.fields(frames.Frame):
            np.testing.assert_array_equal(
                getattr(new, field.name), getattr(old, field.name)
            )
    with np.load(tmp_path / "moments.npz") as file:
        arrays = dict(file)
    for name in frames._OF_CLASSES:
        for wrong in (arrays[name][:, :1], arrays[name][:, 0], arrays[name][:, :0]):
            np.savez(tmp_path / "damaged.npz", **{**arrays, name: wrong})
            with pytest.raises(ValueError, match="do not fit each other"):
                frames.load_frames(tmp_path / "damaged.npz")


# === Drawing ===


def game(*means):
    """Frames of a generator N(mean, 0.5) at steps 0, 10, and so on; D is 0.5."""
    x = np.linspace(-0.475, 4.475, 100)
    latents = scipy.stats.norm.ppf((np.arange(17) + 0.5) / 17)
    return [
        frames.Frame(
            step=10 * index,
            x=x,
            data_density=scipy.stats.norm(2.0, 0.5).pdf(x),
            generator_density=scipy.stats.norm(mean, 0.5).pdf(x),
            discriminator=np.full(100, 0.5),
            latents=latents,
            samples=mean + 0.5 * latents,
        )
        for index, mean in enumerate(means)
    ]


def test_total_variation_of_two_normals():
    for shift in (0.0, 0.25, 0.5):
        expected = 2 * scipy.stats.norm.cdf(shift) - 1  # means 2 * shift sigmas apart
        (frame,) = game(2.0 + shift)
        assert frames.total_variation(frame) == pytest.approx(expected, abs=1e-3)


def test_the_four_frames_lie_a_third_of_the_way_apart():
    # Distances 2 Phi(shift) - 1: 1, .95, .68, .38, .35 and 0.
    played = game(6.0, 0.0, 1.0, 1.5, 1.55, 2.0)
    assert [each.step for each in frames.four_frames(played)] == [0, 20, 40, 50]
    # No way at all: evenly.
    played = game(*[2.0] * 7)
    assert [each.step for each in frames.four_frames(played)] == [0, 20, 40, 60]
    assert frames.four_frames(played[:3]) == played[:3]


def is_colour(picture, colour):
    return (np.abs(picture.astype(int) - colour) < 40).all(axis=-1)


GREEN, BLUE = (44, 160, 44), (31, 119, 180)


def test_figure_1_has_a_panel_for_each_frame_on_the_same_axes():
    played = game(1.0, 1.5, 2.0, 3.0)
    picture = figure_one.figure_1(played)
    assert picture.shape == (380, 1200, 3) and picture.dtype == np.uint8
    peaks = []
    for picture in figure_one.figure_1_animation(played):
        assert picture.shape == (400, 400, 3)
        # Below the legend; the highest green pixels are the mode.
        rows, columns = np.nonzero(is_colour(picture[60:], GREEN))
        peaks.append(columns[rows <= rows.min() + 8].mean())
    steps = np.diff(peaks)  # 0.5, 0.5 and 1.0 of five units on 300 pixels
    np.testing.assert_allclose(steps, [30, 30, 60], atol=9)
    assert figure_one.figure_1(played[:1]).shape == (380, 345, 3)
    for draw in (figure_one.figure_1, figure_one.figure_1_animation):
        with pytest.raises(ValueError, match="at least one frame"):
            draw([])


def test_figure_1_draws_the_discriminator_faint_where_nothing_was_seen():
    x = np.linspace(0.05, 9.95, 100)
    flat = np.full(100, 0.5)
    arrows = np.linspace(1, 9, 17)

    def width(density):
        frame = frames.Frame(0, x, density, density, flat, arrows, arrows)
        (picture,) = figure_one.figure_1_animation([frame])
        inside = is_colour(picture[70:250, 60:330], BLUE)  # without D's own scale
        return np.ptp(np.nonzero(inside)[1])

    everywhere, some = np.full(100, 0.1), np.where((x > 4) & (x < 6), 0.5, 0.0)
    assert width(some) == pytest.approx(0.2 * width(everywhere), rel=0.25)


def test_figure_1_draws_arrows_from_z_to_x():
    (frame,) = game(2.0)
    moved = dataclasses.replace(frame, samples=frame.samples + 1.0)
    first, second = (
        figure_one.figure_1_animation([each])[0] for each in (frame, moved)
    )
    np.testing.assert_array_equal(first[:280], second[:280])
    dark = [(each[310:320, 50:350] < 128).all(axis=-1) for each in (first, second)]
    tips = [np.nonzero(each)[1].mean() for each in dark]
    assert tips[1] - tips[0] == pytest.approx(0.85 * 60, abs=15)  # near the x line


def test_the_gif_has_a_picture_for_each_frame():
    pictures = figure_one.figure_1_animation(game(0.0, 1.0, 1.5, 2.0, 2.5))
    content = formats.encode_gif(pictures, [50] * 4 + [1000])
    with PIL.Image.open(io.BytesIO(content)) as gif:
        assert gif.n_frames == 5 and gif.info["loop"] == 0
        for index, picture in enumerate(pictures):
            gif.seek(index)
            assert gif.info["duration"] == (1000 if index == 4 else 50)
            shown = np.asarray(gif.convert("RGB")).astype(int)
            off = np.abs(shown - picture)
            assert off.max() < 64 and off.mean() < 0.5
            assert (shown[0, 0] == 255).all()


def test_frames_come_back_from_their_file(tmp_path):
    played = game(0.0, 1.0, 2.0)
    frames.save_frames(tmp_path / "moments.npz", played)
    again = frames.load_frames(tmp_path / "moments.npz")
    assert len(again) == 3
    for old, new in zip(played, again, strict=True):
        for field in dataclasses.fields(frames.Frame):
            np.testing.assert_array_equal(
                getattr(new, field.name), getattr(old, field.name)
            )
        assert type(new.step) is int


def test_damaged_frames_are_one_clear_line(tmp_path):
    path = tmp_path / "moments.npz"
    frames.save_frames(path, game(1.0, 2.0))
    content = path.read_bytes()
    with np.load(path) as file:
        arrays = dict(file)

    def saved(**changes):
        buffer = io.BytesIO()
        np.savez(buffer, **{**arrays, **changes})
        return buffer.getvalue()

    buffer = io.BytesIO()
    np.savez(buffer, step=arrays["step"])
    damaged = content.replace(arrays["x"].tobytes(), b"?" * arrays["x"].nbytes)
    assert damaged != content
    for wrong in (
        b"",
        b"no zip file",
        content[: len(content) // 2],
        damaged,
        buffer.getvalue(),
        saved(x=arrays["x"][:, 1:]),
        saved(x=arrays["x"] * np.nan),
        saved(step=arrays["step"][:1]),
        saved(step=np.array([{}, {}])),
        saved(**{name: array[:0] for name, array in arrays.items()}),
    ):
        path.write_bytes(wrong)
        with pytest.raises(
            ValueError, match="cannot be read as the frames of figure 1"
        ) as error:
            frames.load_frames(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        frames.load_frames(path)
