"""Figures: that they show what they are given, against SciPy and scikit-learn."""

import io
import json
import math
import warnings

import keras
import numpy as np
import PIL.Image
import pytest
import scipy.special
import scipy.stats
import tensorflow_probability as tfp
from sklearn.neighbors import NearestNeighbors

import keras_gan
from keras_gan import experiments, runs
from keras_gan.pictures import figures, raster
from keras_gan.runs import figures as drawing
from keras_gan.samples import to_uint8
from tests import helpers

tfd = tfp.distributions


def normal(count, dimensions, mean=0.0, seed=0):
    return np.random.default_rng(seed).normal(mean, 1.0, (count, dimensions))


def greenish(picture):
    """Where a sample is drawn, through the scatter plot's transparency as well."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return (green - red > 30) & (green - blue > 30)


def share_of_grey(picture):
    """The share of pixels in the greys, .7 and .8, that data are drawn in."""
    grey = (picture == picture[:, :, :1]).all(axis=-1)
    return (grey & (picture[:, :, 0] > 174) & (picture[:, :, 0] < 206)).mean()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_plot_is_a_square_picture_of_its_samples(dimensions):
    data = normal(300, dimensions)
    first = figures.sample_plot(normal(300, dimensions, seed=1), data)
    assert first.shape == (480, 480, 3) and first.dtype == np.uint8
    again = figures.sample_plot(normal(300, dimensions, seed=1), data)
    np.testing.assert_array_equal(again, first)
    # Samples in green, data in grey; without data no grey area.
    assert 0.001 < greenish(first).mean() < 0.5
    alone = figures.sample_plot(normal(300, dimensions, seed=1))
    assert share_of_grey(first) > 5 * share_of_grey(alone)
    # The axes follow the data, so samples that move are seen to move: by one of about
    # nine units that are shown.
    moved = figures.sample_plot(normal(300, dimensions, mean=1.0, seed=1), data)
    columns = [np.nonzero(greenish(x))[1].mean() for x in (first, moved)]
    assert columns[1] > columns[0] + 15


def test_plot_has_the_side_that_is_asked_for():
    for side in (201, 230, 402):
        # 230 / 100 * 100 is 229.99999999999997 in floating point.
        picture = figures.sample_plot(normal(10, 2), side=side)
        assert picture.shape == (side, side, 3)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_samples_far_from_the_data_can_be_plotted(dimensions):
    """A generator at its start, or one that collapsed: no sample in the frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = figures.sample_plot(
            normal(50, dimensions, mean=1000.0), normal(50, dimensions)
        )
    assert picture.shape == (480, 480, 3)


def test_a_histogram_shows_the_density_of_all_samples():
    """Half of the samples fall outside of the frame: the other half is half as high.

    The data is uniform, so that samples of the same law fill the same height.
    """
    data = np.random.default_rng(0).uniform(0, 1, (100_000, 1))
    inside = np.random.default_rng(1).uniform(0, 1, (100_000, 1))
    samples = np.concatenate([inside, inside + 1000.0])

    def height(picture):
        """Rows between the plateau of the samples' outline and the axis."""
        columns = slice(200, 280)
        row = np.argmax(greenish(picture[:, columns]).sum(axis=1))
        grey = (picture[:, columns] == 204).all(axis=-1)
        bottom = np.nonzero(grey.any(axis=1))[0].max()
        return bottom - row

    whole = height(figures.sample_plot(inside, data))
    half = height(figures.sample_plot(samples, data))
    assert whole > 200
    assert half == pytest.approx(whole / 2, rel=0.1)


def test_samples_all_equal_can_be_plotted():
    for dimensions in (1, 2):
        picture = figures.sample_plot(np.full((20, dimensions), 3.0))
        assert greenish(picture).any()


def test_plot_refuses_samples_of_another_shape():
    for shape in ((5, 3), (5,), (5, 2, 1)):
        with pytest.raises(ValueError, match=r"^Expected samples \(N, 1\)") as error:
            figures.sample_plot(np.zeros(shape))
        assert str(shape) in str(error.value) and "\n" not in str(error.value)


def test_plot_refuses_examples_of_another_width():
    for samples, examples in (((5, 1), (5, 2)), ((5, 2), (5, 1))):
        with pytest.raises(ValueError, match="^Expected "):
            figures.sample_plot(np.zeros(samples), np.zeros(examples))


@pytest.mark.parametrize("channels", [1, 3])
def test_picture_of_images_is_their_enlarged_grid(channels):
    samples = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, channels))
    picture = figures.sample_picture(samples, (-1.0, 1.0))
    # Two rows and three columns of 9 pixels and a margin: 19 x 28, times 22.
    assert picture.shape == (19 * 22, 28 * 22, channels)
    assert picture.dtype == np.uint8
    tiles = picture[::22, ::22]
    expected = to_uint8(samples, (-1.0, 1.0))
    np.testing.assert_array_equal(tiles[1:9, 10:18], expected[1])
    np.testing.assert_array_equal(tiles[10:18, 1:9], expected[3])
    changed = samples.copy()
    changed[4] *= -1
    assert (figures.sample_picture(changed, (-1.0, 1.0)) != picture).any()


def test_picture_without_a_value_range_is_the_plot():
    samples, data = normal(50, 2), normal(50, 2, seed=1)
    np.testing.assert_array_equal(
        figures.sample_picture(samples, None, data), figures.sample_plot(samples, data)
    )
    with pytest.raises(ValueError, match=r"Received: \(5, 8, 8, 1\)"):
        figures.sample_picture(np.zeros((5, 8, 8, 1)), None)
    with pytest.raises(ValueError, match=r"Received: uint8 \(50, 2\)"):
        figures.sample_picture(samples, (0.0, 1.0))


# === Figure 1 ===


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
def test_a_moment_of_known_maps_is_known(prior, law):
    gan = affine_gan(prior, weight=-3.0, bias=4.0)
    moment = figures.moment(gan, gaussian())
    width = moment.x[1] - moment.x[0]
    np.testing.assert_allclose(moment.x[[0, -1]], [-0.5 + width / 2, 4.5 - width / 2])
    expected = scipy.stats.norm(2.0, 0.5).pdf(moment.x)
    np.testing.assert_allclose(moment.data_density, expected, atol=1e-5)
    # Each cell's share is binomial: five standard deviations.
    share = law.cdf(moment.x + width / 2) - law.cdf(moment.x - width / 2)
    tolerance = 5 * np.sqrt(share * (1 - share) / 50_000) + 1e-4
    assert (np.abs(moment.generator_density * width - share) < tolerance).all()
    assert moment.generator_density.sum() * width == pytest.approx(1, abs=1e-4)
    expected = scipy.special.expit(-3.0 * moment.x + 4.0)
    np.testing.assert_allclose(moment.discriminator, expected, atol=1e-5)
    np.testing.assert_allclose(moment.samples, 0.5 * moment.latents + 2.0, atol=1e-5)
    quantiles = law.ppf((np.arange(17) + 0.5) / 17)
    np.testing.assert_allclose(moment.samples, quantiles, atol=0.03)
    assert moment.step == 0


def test_a_moment_of_a_discriminator_that_is_certain_is_finite():
    gan = affine_gan(keras_gan.priors.Normal(1), weight=-1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moment = figures.moment(gan, gaussian())
    np.testing.assert_array_equal(moment.discriminator, moment.x < 0)


def test_a_moment_takes_one_dimension():
    with pytest.raises(ValueError, match=r"Received: \(4,\), \(3,\) and \(1,\)"):
        figures.moment(helpers.tiny_gan(), gaussian())
    heavy = tfd.Independent(tfd.Cauchy([0.0], [1.0]), 1)
    with pytest.raises(ValueError, match="a mean and a variance"):
        figures.moment(affine_gan(keras_gan.priors.Normal(1)), heavy)


def moments_at(*means):
    """Moments of a generator N(mean, 0.5) at steps 0, 10, and so on; D is 0.5."""
    x = np.linspace(-0.475, 4.475, 100)
    latents = scipy.stats.norm.ppf((np.arange(17) + 0.5) / 17)
    return [
        figures.Moment(
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
        (moment,) = moments_at(2.0 + shift)
        assert figures.total_variation(moment) == pytest.approx(expected, abs=1e-3)


def test_the_four_moments_lie_a_third_of_the_way_apart():
    # Distances 2 Phi(shift) - 1: 1, .95, .68, .38, .35 and 0.
    moments = moments_at(6.0, 0.0, 1.0, 1.5, 1.55, 2.0)
    assert [each.step for each in figures.four_moments(moments)] == [0, 20, 40, 50]
    # No way at all: evenly.
    moments = moments_at(*[2.0] * 7)
    assert [each.step for each in figures.four_moments(moments)] == [0, 20, 40, 60]
    assert figures.four_moments(moments[:3]) == moments[:3]


def is_colour(picture, colour):
    return (np.abs(picture.astype(int) - colour) < 40).all(axis=-1)


GREEN, BLUE = (44, 160, 44), (31, 119, 180)


def test_figure_1_has_a_panel_for_each_moment_on_the_same_axes():
    moments = moments_at(1.0, 1.5, 2.0, 3.0)
    picture = figures.figure_1(moments)
    assert picture.shape == (380, 1200, 3) and picture.dtype == np.uint8
    peaks = []
    for frame in figures.figure_1_animation(moments):
        assert frame.shape == (400, 400, 3)
        # Below the legend; the highest green pixels are the mode.
        rows, columns = np.nonzero(is_colour(frame[60:], GREEN))
        peaks.append(columns[rows <= rows.min() + 8].mean())
    steps = np.diff(peaks)  # 0.5, 0.5 and 1.0 of five units on 300 pixels
    np.testing.assert_allclose(steps, [30, 30, 60], atol=9)
    assert figures.figure_1(moments[:1]).shape == (380, 345, 3)
    for draw in (figures.figure_1, figures.figure_1_animation):
        with pytest.raises(ValueError, match="at least one moment"):
            draw([])


def test_figure_1_draws_the_discriminator_faint_where_nothing_was_seen():
    x = np.linspace(0.05, 9.95, 100)
    flat = np.full(100, 0.5)
    arrows = np.linspace(1, 9, 17)

    def width(density):
        moment = figures.Moment(0, x, density, density, flat, arrows, arrows)
        (frame,) = figures.figure_1_animation([moment])
        inside = is_colour(frame[70:250, 60:330], BLUE)  # without D's own scale
        return np.ptp(np.nonzero(inside)[1])

    everywhere, some = np.full(100, 0.1), np.where((x > 4) & (x < 6), 0.5, 0.0)
    assert width(some) == pytest.approx(0.2 * width(everywhere), rel=0.25)


def test_figure_1_draws_arrows_from_z_to_x():
    (moment,) = moments_at(2.0)
    moved = figures.dataclasses.replace(moment, samples=moment.samples + 1.0)
    first, second = (figures.figure_1_animation([each])[0] for each in (moment, moved))
    np.testing.assert_array_equal(first[:280], second[:280])
    dark = [(frame[310:320, 50:350] < 128).all(axis=-1) for frame in (first, second)]
    tips = [np.nonzero(each)[1].mean() for each in dark]
    assert tips[1] - tips[0] == pytest.approx(0.85 * 60, abs=15)  # near the x line


def test_the_gif_has_a_frame_for_each_moment():
    frames = figures.figure_1_animation(moments_at(0.0, 1.0, 1.5, 2.0, 2.5))
    content = raster.encode_gif(frames, [50] * 4 + [1000])
    with PIL.Image.open(io.BytesIO(content)) as gif:
        assert gif.n_frames == 5 and gif.info["loop"] == 0
        for index, frame in enumerate(frames):
            gif.seek(index)
            assert gif.info["duration"] == (1000 if index == 4 else 50)
            shown = np.asarray(gif.convert("RGB")).astype(int)
            off = np.abs(shown - frame)
            assert off.max() < 64 and off.mean() < 0.5
            assert (shown[0, 0] == 255).all()


def test_moments_come_back_from_their_file(tmp_path):
    moments = moments_at(0.0, 1.0, 2.0)
    figures.save_moments(tmp_path / "moments.npz", moments)
    again = figures.load_moments(tmp_path / "moments.npz")
    assert len(again) == 3
    for old, new in zip(moments, again, strict=True):
        for field in figures.dataclasses.fields(figures.Moment):
            np.testing.assert_array_equal(
                getattr(new, field.name), getattr(old, field.name)
            )
        assert type(new.step) is int


def test_damaged_moments_are_one_clear_line(tmp_path):
    path = tmp_path / "moments.npz"
    figures.save_moments(path, moments_at(1.0, 2.0))
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
        with pytest.raises(ValueError, match="^Expected moments of a one-dim") as error:
            figures.load_moments(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(ValueError, match="No such file"):
        figures.load_moments(path)


# === Figure 2 ===


@pytest.mark.parametrize("block", [1, 100, 4096])
def test_nearest_examples_are_those_of_scikit_learn(block):
    data = keras_gan.datasets.load("digits", "train")
    rng = np.random.default_rng(0)
    samples = rng.random((20, 8, 8, 1), np.float32)
    samples[3] = data.examples([500])[0]
    indices, distances = figures.nearest_examples(samples, data, block)
    search = NearestNeighbors(n_neighbors=1, algorithm="brute")
    search.fit(data.examples().reshape(len(data), -1).astype(np.float64))
    expected, rows = search.kneighbors(samples.reshape(20, -1).astype(np.float64))
    np.testing.assert_array_equal(indices, rows[:, 0])
    np.testing.assert_allclose(distances, expected[:, 0], atol=1e-6)
    assert indices.dtype == np.int64 and distances[3] == 0


def test_of_equally_near_examples_the_first_counts():
    pixels = np.zeros((6, 2, 2, 1), np.uint8)
    pixels[[0, 1]] = 255
    data = keras_gan.datasets.Dataset(pixels)
    for block in (1, 3, 6):
        indices, distances = figures.nearest_examples(
            np.zeros((1, 2, 2, 1)), data, block
        )
        assert (indices[0], distances[0]) == (2, 0.0)
    with pytest.raises(ValueError, match=r"shape \(None, 2, 2, 1\)"):
        figures.nearest_examples(np.zeros((1, 3, 2, 1)), data)


@pytest.mark.parametrize("channels", [1, 3])
def test_figure_2_puts_the_nearest_beside_the_last_column(channels):
    rng = np.random.default_rng(0)
    samples = rng.uniform(-1, 1, (6, 4, 5, channels))
    nearest = rng.uniform(-1, 1, (2, 4, 5, channels))
    picture = figures.figure_2(samples, nearest, (-1.0, 1.0), columns=3)
    # 3 columns of 6 pixels, a margin, a gap of 2, and a column with two margins.
    assert picture.shape[1] % (19 + 2 + 7) == 0 and picture.shape[2] == 3
    factor = picture.shape[1] // 28
    assert factor == 640 // 28 and picture.shape[0] == 11 * factor
    pixels = picture[::factor, ::factor]
    for row in range(2):
        rows = slice(1 + 5 * row, 5 + 5 * row)
        cells = [slice(1 + 6 * column, 6 + 6 * column) for column in range(3)]
        tiles = [*samples[3 * row : 3 * row + 3], nearest[row]]
        for columns, tile in zip([*cells, slice(22, 27)], tiles, strict=True):
            expected = to_uint8(tile, (-1.0, 1.0))
            np.testing.assert_array_equal(
                pixels[rows, columns], np.broadcast_to(expected, (4, 5, 3))
            )
    for frame in (pixels[:, 21], pixels[:, 27], pixels[0, 21:], pixels[5, 21:]):
        assert (frame == (255, 214, 0)).all()
    assert (pixels[:, 19:21] == 255).all() and (pixels[:, 18] == 128).all()
    with pytest.raises(ValueError, match="Expected 4 samples for each nearest"):
        figures.figure_2(samples, nearest, (-1.0, 1.0), columns=4)


# === Figure 3 ===


def test_interpolation_goes_straight_from_end_to_end():
    gan = helpers.tiny_gan()
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(2, 4, 3)).astype(np.float32)
    lines = figures.interpolation(gan, start, end, steps=5)
    assert lines.shape == (4, 5, 4) and lines.dtype == np.float32
    for step, latents in ((0, start), (4, end), (2, (start + end) / 2),
                          (1, 0.75 * start + 0.25 * end)):  # fmt: skip
        np.testing.assert_allclose(lines[:, step], gan.generator(latents), atol=1e-6)
    for wrong in ((start, end[:3], 5), (start[:, :2], end[:, :2], 5), (start, end, 1)):
        with pytest.raises(ValueError, match=r"start and end of shape \(None, 3\)"):
            figures.interpolation(gan, *wrong)


def test_figure_3_is_a_row_for_each_line():
    lines = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 5, 1))
    picture = figures.figure_3(lines, (-1.0, 1.0))
    pixels = picture[:: 960 // 19, :: 960 // 19]
    assert pixels.shape == (11, 19, 1)
    for row, column in ((0, 0), (0, 2), (1, 1)):
        np.testing.assert_array_equal(
            pixels[1 + 5 * row : 5 + 5 * row, 1 + 6 * column : 6 + 6 * column],
            to_uint8(lines[row, column], (-1.0, 1.0)),
        )


# === The health of a training ===

LOG_4 = math.log(4)


def history(epochs=20, value=-1.0, d_real=0.7, d_fake=0.3, generator_loss=1.4):
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "seconds": 1.0,
            "discriminator_loss": -value,
            "generator_loss": generator_loss,
            "value": value,
            "d_real": d_real,
            "d_fake": d_fake,
        }
        for epoch in range(1, epochs + 1)
    ]


def test_the_curves_mark_the_equilibrium():
    """On a linear axis the mark at 1/2 lies midway between .9 and .1."""
    picture = figures.training_curves(history(d_real=0.9, d_fake=0.1))
    assert picture.shape == (300, 1000, 3)
    panel = picture[40:240, 780:790]
    rows = []
    for colour in ((0, 0, 0), (115, 115, 115), GREEN):
        shown = is_colour(panel, colour)
        rows.append(np.nonzero(shown.any(axis=1))[0].mean())
    assert rows[2] - rows[0] > 100
    assert rows[1] == pytest.approx((rows[0] + rows[2]) / 2, abs=1.5)


def test_curves_of_one_epoch_can_be_seen():
    several, one = (figures.training_curves(history(n)) for n in (20, 1))
    assert is_colour(several, GREEN).any() and is_colour(one, GREEN).sum() > 20


@pytest.mark.parametrize("draw", [figures.training_curves, figures.diagnose])
def test_lines_without_logs_are_named(draw):
    with pytest.raises(ValueError, match="at least one epoch"):
        draw([])
    for wrong in ({}, [], {**history(1)[0], "d_fake": "0.5"}):
        with pytest.raises(ValueError, match="Received: line 3 without") as error:
            draw([*history(2), wrong])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("logs", "spread", "state", "advice"),
    [
        ({"value": -0.01, "d_real": 0.99, "d_fake": 0.01}, (), "discriminator has run",
         "non_saturating"),
        ({"value": -0.01, "d_real": 0.99, "d_fake": 0.01}, (0.1, 2.0),
         "discriminator has run", "log(1 - D(G(z))) saturates"),
        ({}, (0.1, 0.2), "generator has collapsed", "Helvetica"),
        ({"value": -1.35, "d_real": 0.55, "d_fake": 0.45}, (0.1, 0.2),
         "generator has collapsed", "discriminator_steps (k)"),
        ({"value": -LOG_4, "d_real": 0.5, "d_fake": 0.5}, (0.1, 0.2),
         "discriminator has not left", "no equilibrium"),
        ({"value": -LOG_4, "d_real": 0.5, "d_fake": 0.5}, (1.0, 3.0),
         "discriminator has not left", "higher rate for D"),
        ({"value": -1.37, "d_real": 0.51, "d_fake": 0.49}, (0.97, 0.1),
         "near equilibrium", "theorem 1"),
        ({"value": -1.37, "d_real": 0.51, "d_fake": 0.49}, (),
         "near equilibrium or at the start", "Look at the samples"),
        ({"value": -1.8, "d_real": 0.4, "d_fake": 0.6}, (0.9, 0.1),
         "discriminator is behind", "without updating D"),
        ({}, (), "training", "Neither network has won"),
        ({}, (0.9, 0.1), "training", "look at them"),
        ({"generator_loss": math.nan}, (0.9, 0.1), "diverged", "last saved model"),
        ({"value": -math.inf}, (), "diverged", "learning rates"),
    ],
)  # fmt: skip
def test_diagnose(logs, spread, state, advice):
    diagnosis = figures.diagnose(history(**logs), *spread)
    assert diagnosis.state.startswith(state) and advice in diagnosis.words
    if state == "near equilibrium":
        assert diagnosis.state == state
    assert "Epochs 18 to 20" in diagnosis.words


def test_diagnose_looks_at_the_last_epochs():
    early = history(17, value=-0.01, d_real=0.99, d_fake=0.01)
    late = history(20)[17:]
    assert figures.diagnose([*early, *late]).state == "training"
    assert figures.diagnose(early).state == "discriminator has run away"
    assert "Epochs 91 to 100:" in figures.diagnose(history(100)).words
    assert figures.diagnose(history(1)).words.startswith("Epoch 1: D(x) 0.70, ")


def test_sample_spread_by_hand():
    examples = np.array([[0.0, 0.0], [0.0, 2.0]])
    samples = np.array([[3.0, 1.0], [4.0, 1.0]])
    assert figures.sample_spread(samples, examples) == pytest.approx((0.5, 1.75))
    rng = np.random.default_rng(0)
    alike = rng.random((2, 2000, 3, 3, 1))
    diversity, offset = figures.sample_spread(*alike)
    assert diversity == pytest.approx(1, abs=0.02) and offset < 0.05
    assert figures.sample_spread(np.zeros((5, 9)), alike[0])[0] == 0
    for wrong in ((samples[:1], examples), (samples, np.zeros((5, 3)))):
        with pytest.raises(ValueError, match="at least two samples and two examples"):
            figures.sample_spread(*wrong)
    with pytest.raises(ValueError, match="not all equal"):
        figures.sample_spread(samples, np.ones((5, 2)))


def test_the_health_page_holds_words_curves_and_samples():
    lines = history()
    diagnosis = figures.diagnose(lines)
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (30, 40, 1)).astype(np.uint8)
    grids = [(f"epoch {i}", raster.enlarge(small)) for i in range(3)]
    page = figures.health_page(lines, diagnosis, grids)
    plain = figures.health_page(lines, diagnosis)
    assert page.shape[1:] == plain.shape[1:] == (1000, 3)
    height = 60 + 19 * 2
    curves = figures.training_curves(lines)
    np.testing.assert_array_equal(page[height : height + 300], curves)
    assert len(plain) == height + 300 and (plain[:height] < 128).any()
    # Of 320 pixels, 40 fit eight times.
    shown = small.repeat(8, axis=0).repeat(8, axis=1)
    for index in range(3):
        left = 333 * index + 166 - 160
        part = page[height + 336 : height + 336 + 240, left : left + 320]
        np.testing.assert_array_equal(part, np.broadcast_to(shown, part.shape))


# === A run's figures ===


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    preset = experiments.get_preset("digits", {"epochs": 3, "sample_epochs": 1})
    return runs.train(runs.Run(tmp_path_factory.mktemp("runs") / "x", preset)).path


@pytest.fixture(scope="module")
def gaussian1d_run(tmp_path_factory):
    preset = experiments.get_preset("gaussian1d", {"epochs": 1})
    return runs.train(runs.Run(tmp_path_factory.mktemp("runs") / "x", preset)).path


def read(path):
    return raster.decode_png(path.read_bytes())


def test_all_figures_of_a_run_of_images(digits_run, tmp_path, caplog):
    caplog.set_level("INFO", logger="keras_gan")
    written = drawing.draw_figures(digits_run, output=tmp_path / "out", seed=3)
    names = ["figure_2.png", "figure_3.png", "curves.png", "health.png"]
    assert written == [tmp_path / "out" / name for name in names]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(names)
    assert "Figure 1 is left out. Expected a run with moments.npz" in caplog.text

    gan, data = runs.load_gan(digits_run), keras_gan.datasets.load("digits", "train")
    samples = gan.generate(30, seed=3)
    indices, _ = figures.nearest_examples(samples[5::6], data)
    expected = figures.figure_2(samples, data.examples(indices), (0.0, 1.0), columns=6)
    np.testing.assert_array_equal(read(written[0]), expected)
    lines = runs.Run.open(digits_run).metrics()
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    np.testing.assert_array_equal(read(written[2]), figures.training_curves(lines))
    # The page shows the first, the middle and the last of epochs 0 to 3.
    epochs = [epoch for epoch, _ in runs.Run.open(digits_run).snapshots()]
    assert epochs == [0, 2, 3]


def test_all_figures_of_a_one_dimensional_run(gaussian1d_run, caplog):
    caplog.set_level("INFO", logger="keras_gan")
    written = drawing.draw_figures(gaussian1d_run)
    assert [path.relative_to(gaussian1d_run / "figures").name for path in written] == [
        "figure_1.png", "figure_1.gif", "curves.png", "health.png",
    ]  # fmt: skip
    text = caplog.text
    assert "Figure 2 is left out" in text and "Figure 3 is left out" in text
    moments = figures.load_moments(gaussian1d_run / "moments.npz")
    # At least ten steps, and a twelfth of those so far: 140 would come after 130.
    assert [moment.step for moment in moments] == [*range(0, 81, 10), 84]
    np.testing.assert_array_equal(read(written[0]), figures.figure_1(moments))
    with PIL.Image.open(written[1]) as gif:
        assert gif.n_frames == len(moments)
    contents = runs.Run.open(gaussian1d_run).contents()
    assert {"moments.npz", "figures"} < set(contents)


def test_a_figure_by_name_that_does_not_fit_is_one_line(digits_run, gaussian1d_run):
    for run, figure, message in (
        (digits_run, "1", "moments.npz for figure 1"),
        (gaussian1d_run, "2", "images for figure 2"),
        (gaussian1d_run, "3", "images for figure 3"),
        (
            digits_run,
            "4",
            "one of '1', '2', '3', 'curves', 'health', 'all'",
        ),
        (
            digits_run / "nothing",
            "curves",
            "the directory of a run, with a config",
        ),
    ):
        with pytest.raises(ValueError, match=message) as error:
            drawing.draw_figures(run, figure)
        assert "\n" not in str(error.value)
        assert not (run / "figures" / f"figure_{figure}.png").exists()
    with pytest.raises(ValueError, match="Expected an output directory"):
        drawing.draw_figures(digits_run, "curves", digits_run / "config.json")


def test_a_damaged_run_is_named(digits_run, tmp_path):
    """Also among all figures, where one that does not fit is left out."""
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    for name in ("config.json", "gan.keras"):
        (run / name).write_bytes((digits_run / name).read_bytes())
    good = (digits_run / "metrics.jsonl").read_text()
    path = run / "metrics.jsonl"
    for content, message in (
        (None, "directory with a metrics.jsonl"),
        ("", "at least one epoch"),
        (good + '{"epoch": 4, "st', "line 4 is damaged"),
        (good + "7\n", "line 4 is damaged"),
        (good + json.dumps({"epoch": 4}) + "\n", "line 4 without discriminator_loss"),
        ("\udc80", "directory with a metrics.jsonl"),
    ):
        if content is not None:
            path.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(ValueError, match=message) as error:
            drawing.draw_figures(run, "curves")
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=message):
        drawing.draw_figures(run, "health")
    path.write_text(good)
    (run / "samples" / "epoch_00001.png").write_bytes(b"half a picture")
    with pytest.raises(ValueError, match="epoch_00001.png, which is damaged"):
        drawing.draw_figures(run, "health")
    (run / "moments.npz").write_bytes(b"half a fi")
    with pytest.raises(ValueError, match="^Expected moments of a one-dim"):
        drawing.draw_figures(run, "all")
