"""Augmentation inside the critic: its draws, its gradients, its state and its place."""

import io
import pathlib
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial
import scipy.stats
import tensorflow as tf

import keras_gan
from keras_gan import augmentation, losses, penalties, replicas
from keras_gan.augmentation import ADA, DiffAugment, ada
from keras_gan.runs import checkpoint
from keras_gan.samples import SampleSpec
from tests import helpers

SEED = tf.constant([5, 9], tf.int32)
HINGE = losses.get("hinge")


def prepared(augment, shape=(16, 16, 3), value_range=(-1, 1)):
    augment.prepare(SampleSpec.of(shape, value_range), HINGE)
    return augment


def images(count, shape=(16, 16, 3), seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (count, *shape)).astype(np.float32)


def everything(kind, value_range=(-1, 1), shape=(16, 16, 3)):
    """All transformations of an augmentation, each at work."""
    if kind is DiffAugment:
        return prepared(DiffAugment(), shape, value_range)
    every = ADA(",".join(ADA.groups), initial_p=1.0)
    return prepared(every, shape, value_range)


KINDS = pytest.mark.parametrize("kind", [DiffAugment, ADA])


def is_distributed_as(values, distribution):
    """Whether a Kolmogorov-Smirnov test lets some thousand draws pass."""
    return scipy.stats.kstest(np.ravel(values), distribution.cdf).pvalue > 1e-3


# === DiffAugment ===


def test_brightness_contrast_and_saturation_have_the_papers_ranges():
    """Read off two images: one of one colour, and one of two pixels."""
    color = prepared(DiffAugment("color"), (1, 2, 3))
    one = tf.fill((4000, 1, 2, 3), 0.25)
    brightness = color(one, SEED).numpy() - 0.25
    assert np.ptp(brightness, axis=(1, 2, 3)).max() < 1e-6  # no other part acts on it
    uniform = scipy.stats.uniform
    assert is_distributed_as(brightness[:, 0, 0, 0], uniform(-0.5, 1))
    # Gray pixels of -.2 and .2, which differ in contrast alone; and one colour of
    # chroma (.1, 0, -.1) in both pixels, which differs in saturation alone ...
    gray = tf.tile([[[[-0.2] * 3, [0.2] * 3]]], (4000, 1, 1, 1))
    made = color(gray, SEED).numpy()[:, 0]
    contrast = (made[:, 1, 0] - made[:, 0, 0]) / 0.4
    assert is_distributed_as(contrast, uniform(0.5, 1))
    # ... and contrast, for the mean that it is about is that of all channels.
    chroma = tf.tile([[[[0.1, 0.0, -0.1]] * 2]], (4000, 1, 1, 1))
    made = color(chroma, SEED).numpy()[:, 0, 0]
    saturation = (made[:, 0] - made[:, 2]) / 0.2 / contrast
    assert is_distributed_as(saturation, uniform(0, 2))
    for a, b in ((brightness[:, 0, 0, 0], contrast), (contrast, saturation)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.06  # draws of their own


def test_a_translation_is_by_whole_pixels_of_up_to_an_eighth():
    shape = (16, 24, 2)
    x = images(700, shape)
    made = prepared(DiffAugment("translation"), shape)(x, SEED).numpy()
    found = []
    for before, after in zip(x, made, strict=True):
        padded = np.pad(before, ((2, 2), (3, 3), (0, 0)))
        (move,) = [
            (2 - i, 3 - j)
            for i in range(5)
            for j in range(7)
            if (padded[i : i + 16, j : j + 24] == after).all()
        ]
        found.append(move)
    counts = [np.unique(column, return_counts=True) for column in np.transpose(found)]
    assert [list(values) for values, _ in counts] == [
        list(range(-2, 3)),
        list(range(-3, 4)),
    ]
    for _, count in counts:
        assert scipy.stats.chisquare(count).pvalue > 1e-3


def test_a_cutout_is_a_square_of_half_of_each_side_that_may_lie_partly_outside():
    shape = (16, 24, 1)
    made = prepared(DiffAugment("cutout"), shape)(tf.ones((4000, *shape)), SEED)
    hole = made.numpy()[..., 0] == 0
    centres = []
    for side, along in ((16, hole.any(axis=2)), (24, hole.any(axis=1))):
        first, length = along.argmax(axis=1), along.sum(axis=1)
        last = first + length - 1
        assert (np.diff(along.astype(int), axis=1) != 0).sum(axis=1).max() <= 2
        inside = (first > 0) & (last < side - 1)
        assert set(length[inside]) == {side // 2}
        assert length.min() == side // 4 and length.max() == side // 2
        # The centre is uniform on 0 to `side`, so that the square may leave.
        centre = np.where(first > 0, first + side // 4, last + 1 - side // 4)
        values, count = np.unique(centre, return_counts=True)
        assert list(values) == list(range(side + 1))
        assert scipy.stats.chisquare(count).pvalue > 1e-3
        centres.append(centre)
    rectangle = hole.any(axis=2)[:, :, None] & hole.any(axis=1)[:, None]
    np.testing.assert_array_equal(hole, rectangle)
    assert abs(np.corrcoef(*centres)[0, 1]) < 0.06


def test_a_group_draws_the_same_whatever_the_others_are():
    x = images(20)
    parts = [prepared(DiffAugment(name)) for name in DiffAugment.groups]
    for part in parts:
        x = part(x, SEED)
    whole = everything(DiffAugment)(images(20), SEED)
    np.testing.assert_allclose(x, whole, atol=1e-6)


# === ADA's transformations ===


def test_blit_is_one_of_the_eight_turns_of_a_square_and_a_move():
    """What moves in is the image, mirrored at its edge."""
    x = images(800, (8, 8, 2))
    made = prepared(ADA("blit", initial_p=1.0), (8, 8, 2))(x, SEED).numpy()
    found = []
    for before, after in zip(x, made, strict=True):
        turns = [np.rot90(b, q) for b in (before, before[:, ::-1]) for q in range(4)]
        (which,) = [
            (number, i - 1, j - 1)
            for number, turned in enumerate(turns)
            for i in range(3)
            for j in range(3)
            if (
                np.pad(turned, ((1, 1), (1, 1), (0, 0)), "reflect")[
                    i : i + 8, j : j + 8
                ]
                == after
            ).all()
        ]
        found.append(which)
    turn, row, column = np.transpose(found)
    assert scipy.stats.chisquare(np.bincount(turn, minlength=8)).pvalue > 1e-3
    # round(8 U(-1/8, 1/8)): a quarter, a half, a quarter.
    for move in (row, column):
        share = np.bincount(move + 1, minlength=3)
        assert scipy.stats.chisquare(share, [200, 400, 200]).pvalue > 1e-3


def test_images_that_are_not_square_are_not_turned():
    x = images(300, (8, 12, 1))
    made = prepared(ADA("blit", initial_p=1.0), (8, 12, 1))(x, SEED).numpy()
    for before, after in zip(x, made, strict=True):
        assert any(
            (np.pad(b, ((1, 1), (2, 2), (0, 0)), "reflect")[i : i + 8, j : j + 12]
             == after).all()
            for b in (before, before[:, ::-1]) for i in range(3) for j in range(5)
        )  # fmt: skip


def test_images_are_sampled_as_scipy_does():
    x = images(3, (7, 5, 2))
    random = np.random.default_rng(1)
    places = random.uniform(-20, 20, (2, 3, 7, 5)).astype(np.float32)
    made = ada._sampled(tf.constant(x), *map(tf.constant, places), False).numpy()
    for row in range(3):
        for channel in range(2):
            expected = scipy.ndimage.map_coordinates(
                x[row, ..., channel].astype(np.float64),
                places[:, row],
                order=1,
                mode="mirror",
            )
            np.testing.assert_allclose(made[row, ..., channel], expected, atol=1e-4)


def test_geometry_has_the_papers_scales_and_angles():
    augment = prepared(ADA("geometry", initial_p=1.0))
    random = np.random.default_rng(2)
    draws = ada._Draws(
        tf.zeros((4000, 14)),
        tf.constant(random.uniform(size=(4000, 10)).astype(np.float32)),
        tf.constant(random.normal(size=(4000, 7)).astype(np.float32)),
        1.0,
    )
    rows, columns = (x.numpy() for x in augment._positions((None, 16, 16, 3), draws))
    places = np.stack([rows, columns], axis=1).astype(np.float64)
    by_row = places[:, :, 1, 0] - places[:, :, 0, 0]
    by_column = places[:, :, 0, 1] - places[:, :, 0, 0]
    matrix = np.stack([by_row, by_column], axis=2)
    log_scale = np.log2(np.linalg.det(matrix)) / 2
    assert is_distributed_as(log_scale, scipy.stats.norm(0, 0.2))
    # Stretched by s and 1 / s: the singular values are scale * s and scale / s.
    singular = np.linalg.svd(matrix)[1]
    log_stretch = np.log2(singular[:, 0] / singular[:, 1]) / 2
    assert is_distributed_as(log_stretch, scipy.stats.halfnorm(0, 0.2))
    left, _, right = np.linalg.svd(matrix)
    turn = left @ right
    angle = np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    assert is_distributed_as(angle, scipy.stats.uniform(-np.pi, 2 * np.pi))
    # Backwards, the move comes first: the centre's place is the matrix of minus it.
    centre = places.mean(axis=(2, 3)) - 7.5
    moves = -np.linalg.solve(matrix, centre[..., None])[..., 0] / 16
    assert is_distributed_as(moves, scipy.stats.norm(0, 1 / 8))


def test_colors_are_those_of_the_papers_matrices():
    random = np.random.default_rng(3)
    uniform = random.uniform(size=(50, 10)).astype(np.float32)
    normal = random.normal(size=(50, 7)).astype(np.float32)
    draws = ada._Draws(
        tf.zeros((50, 14)), tf.constant(uniform), tf.constant(normal), 1.0
    )
    x = images(50, (2, 2, 3))
    made = ada._recolored(tf.constant(x), draws).numpy()
    axis = np.ones(3) / np.sqrt(3)
    along = np.outer(axis, axis)
    for row in range(50):
        flips = uniform[row, 6] >= 0.5
        angle = np.pi * (2 * float(uniform[row, 7]) - 1)
        matrix = (
            (along + (np.eye(3) - along) * 2.0 ** normal[row, 6])
            @ scipy.spatial.transform.Rotation.from_rotvec(angle * axis).as_matrix()
            @ (np.eye(3) - 2 * along * flips)
            * 2.0 ** (0.5 * normal[row, 5])
        )
        expected = (x[row].astype(np.float64) + 0.2 * normal[row, 4]) @ matrix.T
        np.testing.assert_allclose(made[row], expected, atol=2e-5)
    # Gray has no hue and no saturation.
    made = ada._recolored(tf.constant(x[..., :1]), draws).numpy()
    contrast = 2.0 ** (0.5 * normal[:, 5]) * np.where(uniform[:, 6] >= 0.5, -1, 1)
    expected = (x[..., :1] + 0.2 * normal[:, 4][:, None, None, None]) * contrast[
        :, None, None, None
    ]
    np.testing.assert_allclose(made, expected, atol=2e-5)


def test_each_transformation_acts_with_probability_p():
    x = images(3000, (8, 8, 1))
    cut = prepared(ADA("cutout", initial_p=0.3), (8, 8, 1))(x, SEED).numpy()
    changed = int((cut != x).any(axis=(1, 2, 3)).sum())
    assert scipy.stats.binomtest(changed, 3000, 0.3).pvalue > 1e-3
    assert (cut == 0).mean(axis=(1, 2, 3)).max() <= 0.25
    # Blit: one in two turns mirrors and one in four quarters is none, so that of the
    # three, each drawn by itself, 1 - (1 - p/2) (1 - 3p/4) (1 - p + p/4) move.
    made = prepared(ADA("blit", initial_p=0.3), (8, 8, 1))(x, SEED).numpy()
    changed = int((made != x).any(axis=(1, 2, 3)).sum())
    expected = 1 - 0.85 * 0.775 * 0.775
    assert scipy.stats.binomtest(changed, 3000, expected).pvalue > 1e-3


@pytest.mark.parametrize("value_range", [(-1, 1), (0, 1), (-3, 7)])
def test_at_p_0_images_stay(value_range):
    """In (-1, 1) to the last bit; the map of other ranges rounds."""
    spec = SampleSpec.of((16, 16, 3), value_range)
    x = spec.from_uint8(np.float32(spec.to_uint8(images(9)))).astype(np.float32)
    still = prepared(ADA(",".join(ADA.groups)), value_range=value_range)
    error = np.abs(still(x, SEED).numpy() - x).max()
    assert error == 0 if value_range == (-1, 1) else error < 1e-6
    still.p.assign(0.5)
    assert np.abs(still(x, SEED).numpy() - x).max() > 0.1


# === Both ===


@KINDS
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((16, 16, 3), "float32"),
        ((15, 9, 1), "float64"),
        ((4, 4, 4), "float16"),
        ((1, 2, 2), "bfloat16"),
    ],
)
def test_shape_and_dtype_stay_and_the_batch_decides_nothing(kind, shape, dtype):
    augment = everything(kind, shape=shape)
    x = tf.cast(images(5, shape), dtype)
    made = augment(x, SEED)
    assert made.shape == x.shape and made.dtype == x.dtype
    again, few, other = (
        np.asarray(tf.cast(augment(x[:rows], seed), tf.float32))
        for rows, seed in ((5, SEED), (2, SEED), (5, SEED + 1))
    )
    made = np.asarray(tf.cast(made, tf.float32))
    assert np.isfinite(made).all() and (other != made).any()
    np.testing.assert_array_equal(again, made)
    np.testing.assert_array_equal(few, made[:2])


@KINDS
@pytest.mark.parametrize("value_range", [(0, 1), (0, 255), (-3, 3)])
def test_every_range_is_augmented_as_the_papers(kind, value_range):
    """What has no value gets the middle; brightness moves by shares of the range."""
    spec = SampleSpec.of((16, 16, 3), value_range)
    x = images(40)
    expected = everything(kind)(x, SEED).numpy()
    scaled = spec.from_unit((x + 1) / 2).astype(np.float32)
    made = everything(kind, value_range)(scaled, SEED).numpy()
    low, high = value_range
    found = (made - low) / (high - low) * 2 - 1
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    "kind", [DiffAugment, pytest.param(ADA, marks=pytest.mark.slow)]
)
def test_a_graph_does_what_eager_does_and_xla_compiles_it(kind):
    augment, x = everything(kind), tf.constant(images(6))
    made = augment(x, SEED).numpy()
    graph = tf.function(augment.call)(x, SEED)
    np.testing.assert_allclose(graph, made, atol=1e-5)

    @tf.function(jit_compile=True)
    def slope(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = tf.reduce_sum(tf.tanh(augment.call(x, SEED)))
            size = tf.reduce_sum(tape.gradient(y, x) ** 2)
        return size, outer.gradient(size, x)

    for each in slope(x):
        assert np.isfinite(each).all() and np.abs(each).max() > 0


@KINDS
def test_gradients_are_those_of_finite_differences(kind):
    """Augmentation is affine in the image, so that no difference is too wide."""
    augment = everything(kind)
    x, weights = tf.constant(images(4)), tf.constant(images(4, seed=1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(weights * augment(x, SEED))
    gradient = tape.gradient(value, x).numpy()
    assert (np.abs(gradient).sum(axis=(1, 2, 3)) > 0).all()
    for seed in range(3):
        step = images(4, seed=seed + 2)
        ends = [
            np.sum(weights.numpy().astype(np.float64) * augment(x + s, SEED).numpy())
            for s in (step, -step)
        ]
        expected = (ends[0] - ends[1]) / 2
        assert np.sum(gradient * step) == pytest.approx(expected, rel=1e-3, abs=1e-2)


@KINDS
def test_r1_through_it_has_the_gradient_of_finite_differences(kind):
    augment, x = everything(kind), tf.constant(images(4))
    kernel = tf.Variable(0.05 * images(1, seed=1))

    def r1():
        def critic(x):
            inside = tf.reduce_sum(kernel * augment(x, SEED), axis=(1, 2, 3))
            return tf.tanh(inside)[:, None]

        return penalties.R1(1.0)(critic, x, None, None)

    with tf.GradientTape() as tape:
        value = r1()
    gradient = tape.gradient(value, kernel).numpy()
    assert np.isfinite(gradient).all() and float(value) > 0
    before = kernel.numpy()
    for seed in range(3):
        step = 2e-3 * images(1, seed=seed + 5)
        ends = []
        for sign in (1, -1):
            kernel.assign(before + sign * step)
            ends.append(float(r1()))
        expected = (ends[0] - ends[1]) / 2
        found = float(np.sum(gradient.astype(np.float64) * step))
        assert found == pytest.approx(expected, rel=0.03, abs=1e-5)


# === ADA's controller ===


@pytest.mark.parametrize("target", [0.6, -0.2])
def test_p_follows_the_signs_as_in_numpy(target):
    augment = prepared(ADA(target=target, images=300, every=3, initial_p=0.1))
    one = replicas.of(tf.distribute.get_strategy())
    random = np.random.default_rng(4)
    p, signs, examples, steps = 0.1, 0.0, 0, 0
    path = []
    for step in range(50):
        size = int(random.integers(0, 40))  # at 0, a step that was not made
        logits = random.normal(1.5 * np.sin(step / 6), 1, (max(size, 1), 1))
        terms = augment.terms(tf.constant(logits.astype(np.float32)))
        if not size:
            terms["real_sign"] = tf.constant(np.nan)
        augment.update(terms, tf.constant(size), one)
        if size:
            signs += np.sign(logits).sum()
            examples, steps = examples + size, steps + 1
        if steps == 3:
            p = np.clip(p + np.sign(signs / examples - target) * examples / 300, 0, 1)
            signs, examples, steps = 0.0, 0, 0
        assert float(augment.p.numpy()) == pytest.approx(p, abs=1e-6)
        path.append(p)
    # Up, down, and against a bound.
    moves = np.sign(np.diff(path))
    assert {-1, 1} <= set(moves) and {0.0, 1.0} & set(path)


def test_p_stays_within_0_and_1():
    one = replicas.of(tf.distribute.get_strategy())
    for start, sign, end in ((0.9, 1.0, 1.0), (0.1, -1.0, 0.0)):
        augment = prepared(ADA(images=100, every=1, initial_p=start))
        augment.update({"real_sign": tf.constant(sign)}, 64, one)
        assert float(augment.p.numpy()) == end


# === In a GAN ===


@keras.saving.register_keras_serializable("tests")
class Halved(augmentation.Augmentation):
    """Half of each sample, less a third: no draws."""

    def call(self, samples, seed):
        return 0.5 * samples - 1 / 3


def image_networks(channels=3, batch_normalization=False):
    init = [keras.initializers.GlorotUniform(seed=i) for i in range(3)]
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(64 * channels, "tanh", kernel_initializer=init[0]),
            keras.layers.Reshape((8, 8, channels), dtype="float32"),
        ]
    )
    middle = [keras.layers.BatchNormalization()] if batch_normalization else []
    discriminator = keras.Sequential(
        [
            keras.Input((8, 8, channels)),
            keras.layers.Flatten(),
            keras.layers.Dense(8, "tanh", kernel_initializer=init[1]),
            *middle,
            keras.layers.Dense(1, dtype="float32", kernel_initializer=init[2]),
        ]
    )
    return generator, discriminator


def image_gan(augment=None, policy=None, **options):
    if policy is not None:
        keras.mixed_precision.set_dtype_policy(policy)
    try:
        networks = image_networks()
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    gan = keras_gan.GAN(*networks, keras_gan.priors.Normal(3), (-1, 1), seed=0)
    options = {
        "generator_optimizer": keras.optimizers.SGD(0.1),
        "discriminator_optimizer": keras.optimizers.SGD(0.1),
        "run_eagerly": True,  # a few steps take less time than a graph's tracing
        **options,
    }
    gan.compile(augmentation=augment, **options)
    return gan


def batch(seed=0, count=8):
    return images(count, (8, 8, 3), seed)


def flat(gan):
    weights = gan.generator.weights + gan.discriminator.weights
    return np.concatenate([weight.numpy().ravel() for weight in weights])


def test_a_step_is_that_of_a_discriminator_that_augments_by_itself():
    gan = helpers.tiny_gan(
        helpers.deterministic_prior(),
        augmentation=Halved(),
        penalties=[penalties.R1(0.5), penalties.R2(0.3)],
        discriminator_steps=2,
        loss="relativistic",
    )
    generator, discriminator = helpers.tiny_networks()
    samples = keras.Input((4,))
    inside = keras.layers.Rescaling(0.5, -1 / 3)(samples)
    other = keras_gan.GAN(
        generator,
        keras.Model(samples, discriminator(inside)),
        helpers.deterministic_prior(),
        value_range=None,
        seed=0,
    )
    other.compile(
        keras.optimizers.SGD(0.1),
        keras.optimizers.SGD(0.1),
        penalties=[penalties.R1(0.5), penalties.R2(0.3)],
        discriminator_steps=2,
        loss="relativistic",
    )
    batches = [helpers.examples(8, seed=i) for i in range(3)]
    logs = [helpers.train_steps(each, batches) for each in (gan, other)]
    assert logs[0] == pytest.approx(logs[1], abs=1e-5)
    for a, b in zip(*map(helpers.weights_of, (gan, other)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    [
        DiffAugment,
        pytest.param(lambda: ADA(initial_p=0.5), marks=pytest.mark.slow),
        pytest.param(Halved, marks=pytest.mark.slow),
    ],
)
def test_evaluate_sees_no_augmentation(kind):
    plain, augmented = image_gan(), image_gan(kind())
    logs = [
        gan.evaluate(batch(), verbose=0, return_dict=True) for gan in (plain, augmented)
    ]
    assert {name: logs[1][name] for name in logs[0]} == logs[0]
    # It is in the training.
    for gan in (plain, augmented):
        helpers.train_steps(gan, [batch()])
    assert (flat(plain) != flat(augmented)).any()


def test_seeds_are_drawn_only_where_there_is_an_augmentation():
    """So that a training without one is what it was before they existed."""
    for augment, training, draws in (
        (None, True, False),
        (DiffAugment(), False, False),
        (DiffAugment(), True, True),
    ):
        gan = image_gan(augment)
        before = gan._training_seeds.state.numpy()
        critic = gan.critic(training)
        critic(batch())
        critic(batch(1))
        once = keras.random.SeedGenerator(0)
        once.state.assign(before)
        if draws:
            once.next()
        np.testing.assert_array_equal(gan._training_seeds.state, once.state)


def test_one_objective_augments_examples_samples_and_penalties_alike():
    seeds = []

    class Recording(augmentation.Augmentation):
        def call(self, samples, seed):
            seeds.append(tuple(np.asarray(seed)))
            return samples + tf.random.stateless_normal(tf.shape(samples), seed)

    gan = helpers.tiny_gan(
        augmentation=Recording(),
        penalties=[penalties.R1(), penalties.GradientPenalty()],
        loss="relativistic",
        run_eagerly=True,
    )
    helpers.train_steps(gan, [helpers.examples(8)])
    # Of D: examples, with which R1 goes, samples, and what lies between; of G: both.
    assert len(seeds) == 5
    assert len(set(seeds[:3])) == len(set(seeds[3:])) == 1
    assert seeds[0] != seeds[3]
    helpers.train_steps(gan, [helpers.examples(8)])
    assert len(set(seeds)) == 4


def test_labels_are_not_augmented():
    one = replicas.of(tf.distribute.get_strategy())
    augment = augmentation.of_one_draw(
        everything(DiffAugment), keras.random.SeedGenerator(3), one
    )
    inputs = {"samples": tf.constant(images(4)), "labels": tf.range(4)}
    made = augment(inputs)
    assert set(made) == {"samples", "labels"}
    np.testing.assert_array_equal(made["labels"], range(4))
    assert (made["samples"].numpy() != inputs["samples"].numpy()).any()
    np.testing.assert_array_equal(augment(inputs["samples"]), made["samples"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        DiffAugment,
        lambda: ADA(images=200, every=1),
    ],
)
def test_eager_graph_and_xla(kind):
    """XLA draws other numbers of the same distributions."""
    ends = []
    for run_eagerly, xla in ((True, False), (False, False), (False, True)):
        gan = image_gan(
            kind(),
            penalties=[penalties.R1(0.1)],
            run_eagerly=run_eagerly,
            jit_compile=xla,
        )
        logs = helpers.train_steps(gan, [batch(i) for i in range(3)])
        assert np.isfinite(list(logs.values())).all()
        ends.append(flat(gan))
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-4)
    assert np.isfinite(ends[2]).all()


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@KINDS
def test_in_16_bits_losses_are_finite(kind, policy):
    augment = DiffAugment() if kind is DiffAugment else ADA(images=200, every=1)
    gan = image_gan(augment, policy, penalties=[penalties.R1(0.1)])
    logs = helpers.train_steps(gan, [batch(i) for i in range(3)])
    assert np.isfinite(list(logs.values())).all()
    assert np.isfinite(flat(gan)).all()


def test_p_moves_by_the_steps_of_d_and_is_logged():
    """k = 12 is a loop of the graph; D stands still, so that its signs are known."""
    augment = ADA("cutout", target=-0.999, images=96, every=5)
    gan = image_gan(
        augment,
        discriminator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_steps=12,
        run_eagerly=False,
    )
    gan.discriminator.layers[-1].bias.assign([50.0])  # every logit is above 0
    logs = helpers.train_steps(gan, [batch(count=24)])
    # 12 steps of 2 examples: two moves of 5 * 2 / 96, and 2 steps left over.
    assert float(augment.p.numpy()) == pytest.approx(20 / 96, rel=1e-5)
    assert int(augment._steps.numpy()) == 2 and int(augment._examples.numpy()) == 4
    assert float(augment._signs.numpy()) == 4.0
    assert logs["real_sign"] == 1.0
    # p in the 12 steps: 0 five times, one move five times, two moves twice.
    assert logs["augmentation_p"] == pytest.approx((5 * 10 + 2 * 20) / 96 / 12)


def test_a_skipped_step_moves_no_p():
    augment = ADA(images=100, every=1, target=-0.5)
    gan = image_gan(augment, "mixed_float16", penalties=[penalties.R1(0.1)])
    helpers.train_steps(gan, [batch()])
    before = float(augment.p.numpy())
    gan.discriminator_optimizer.dynamic_scale.assign(3e38)
    logs = helpers.train_steps(gan, [batch()])
    assert logs["discriminator_skipped_steps"] == 1
    assert float(augment.p.numpy()) == before


def test_without_a_target_p_stays_and_any_loss_will_do():
    gan = image_gan(ADA(target=None, initial_p=0.3), loss="relativistic")
    logs = helpers.train_steps(gan, [batch(), batch(1)])
    assert logs["augmentation_p"] == pytest.approx(0.3) and "real_sign" not in logs


def test_a_gan_that_is_compiled_again_keeps_the_state_of_the_same_object():
    augment = ADA(images=64, every=1)
    gan = image_gan(augment)
    augment.p.assign(0.25)
    gan.compile("sgd", "sgd", augmentation=augment)
    assert float(gan.augmentation.p.numpy()) == 0.25
    gan.compile("sgd", "sgd", augmentation=ADA())
    assert float(gan.augmentation.p.numpy()) == 0.0
    gan.compile("sgd", "sgd")
    assert gan.augmentation is None
    assert "augmentation_p" not in helpers.train_steps(gan, [batch()])


# === Saved, and resumed ===


def names_in_file(gan, path):
    gan.save(path)
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    names = []
    with h5py.File(content) as file:
        file.visititems(lambda name, part: names.append((name, hasattr(part, "shape"))))
    return {name for name, is_array in names if is_array}


@pytest.mark.parametrize("last", [ADA, DiffAugment, Halved, None])
def test_a_gan_that_is_compiled_with_another_object_forgets_the_first(tmp_path, last):
    """Its checkpoints and its files are those of a GAN that never had the first."""

    def compiled(*augmentations):
        gan = image_gan(ADA(initial_p=0.3))
        for augment in augmentations:
            gan.compile("sgd", "sgd", augmentation=augment, run_eagerly=True)
        return gan

    again = compiled(ADA(initial_p=0.4), last and last())
    fresh = image_gan(
        last and last(), generator_optimizer="sgd", discriminator_optimizer="sgd"
    )
    helpers.train_steps(again, [batch()])
    checkpoint.restore(fresh, checkpoint.snapshot(again, 1))
    np.testing.assert_array_equal(flat(again), flat(fresh))
    assert names_in_file(again, tmp_path / "again.keras") == names_in_file(
        fresh, tmp_path / "fresh.keras"
    )


def test_an_object_that_comes_back_has_its_state():
    first = ADA()
    gan = image_gan(first)
    first.p.assign(0.25)
    gan.compile("sgd", "sgd")
    gan.compile("sgd", "sgd", augmentation=first)
    state = checkpoint.snapshot(gan, 0).state
    assert [float(state[name]) for name in state if name.endswith("/p")] == [0.25]


def adaptive():
    return image_gan(
        ADA("cutout", target=-0.99, images=300, every=3),
        discriminator_steps=2,
        ema_decay=0.5,
    )


def test_n_and_m_steps_are_n_plus_m_to_the_last_bit(tmp_path):
    whole, first, second = adaptive(), adaptive(), adaptive()
    batches = [batch(i) for i in range(7)]
    helpers.train_steps(whole, batches)
    helpers.train_steps(first, batches[:4])
    path = tmp_path / "step.safetensors"
    checkpoint.write(path, checkpoint.snapshot(first, 4))
    restored = checkpoint.read(path)
    assert sum("/p" in name[-3:] for name in restored.state) == 1
    checkpoint.restore(second, restored)
    assert float(first.augmentation.p.numpy()) > 0
    assert int(first.augmentation._steps.numpy()) == 2  # in the midst of an interval
    helpers.train_steps(second, batches[4:])
    ends = [checkpoint.snapshot(gan, 7).state.values() for gan in (whole, second)]
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_saved_gan_brings_its_augmentation_to_a_new_process(tmp_path):
    gan = adaptive()
    helpers.train_steps(gan, [batch(i) for i in range(4)])
    gan.save(tmp_path / "gan.keras")
    code = (
        "import keras, keras_gan, sys\n"
        "gan = keras.saving.load_model(sys.argv[1])\n"
        "a = gan.augmentation\n"
        "state = [a.p, a._signs, a._examples, a._steps]\n"
        "print(a.get_config(), [float(v.numpy()) for v in state], sep='\\n')\n"
    )
    root = pathlib.Path(__file__).resolve().parent.parent
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "gan.keras")],
        capture_output=True,
        text=True,
        cwd=root,
    )
    a = gan.augmentation
    state = [float(v.numpy()) for v in (a.p, a._signs, a._examples, a._steps)]
    assert state[0] > 0 and state[3] == 2, state
    lines = process.stdout.splitlines()
    assert lines[-2:] == [str(a.get_config()), str(state)], process.stderr
    # Without its training it loads too. Convolutions may sum in another order.
    bare = keras.saving.load_model(tmp_path / "gan.keras", compile=False)
    np.testing.assert_allclose(
        bare.generate(2, seed=1), gan.generate(2, seed=1), atol=1e-6
    )


@pytest.mark.parametrize(
    "augment",
    [
        DiffAugment("translation, color", name="mine"),
        ADA("geometry", None, 1000, 7, 0.5),
        Halved(),
    ],
)
def test_an_augmentation_is_rebuilt_from_its_config(augment):
    saved = keras.saving.serialize_keras_object(augment)
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is type(augment)
    assert again.get_config() == augment.get_config()


# === What is refused ===


def test_names_stand_for_augmentations():
    assert type(image_gan("diffaugment").augmentation) is DiffAugment
    assert type(image_gan("ada").augmentation) is ADA


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiffAugment("colour"), "`policy`.*'cutout'.*mean 'color'"),
        (lambda: DiffAugment("color,"), "`policy` to be one of"),
        (lambda: DiffAugment(""), "`policy` to be one of"),
        (lambda: DiffAugment("blit"), "`policy` to be one of 'color'"),
        (lambda: ADA("blits"), "Did you mean 'blit'"),
        (lambda: ADA(target=1.5), r"`target` to be a number in \[-1, 1\]"),
        (lambda: ADA(target="x"), "`target` to be a number"),
        (lambda: ADA(images=0), "`images` to be a number"),
        (lambda: ADA(every=0), "`every` to be an int >= 1"),
        (lambda: ADA(initial_p=1.01), r"`initial_p` to be a number in \[0, 1\]"),
        (lambda: image_gan("adda"), "`augmentation`.*Did you mean 'ada'"),
        (lambda: image_gan(3), "or an augmentation.Augmentation. Received: 3"),
        (lambda: image_gan("ada", loss="relativistic"), "Relativistic.*target=None"),
        (lambda: helpers.tiny_gan(augmentation="ada"), "images.*(4,).*vector"),
        (lambda: helpers.tiny_gan(augmentation=DiffAugment()), "images, which DiffA"),
        (
            lambda: image_gan(prepared(DiffAugment(), (4, 4, 3))),
            r"of its own for each GAN.*\(4, 4, 3\)",
        ),
    ],
)
def test_mistakes_are_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_series_are_refused():
    generator = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8), keras.layers.Reshape((4, 2))]
    )
    discriminator = keras.Sequential(
        [keras.Input((4, 2)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    gan = keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(3), (0, 1))
    with pytest.raises(ValueError, match="Expected images.*series"):
        gan.compile("sgd", "sgd", augmentation="diffaugment")


def test_an_objective_of_the_users_that_hides_the_signs_is_told():
    @keras.saving.register_keras_serializable("tests")
    class Hiding(keras_gan.GAN):
        def discriminator_objective(self, real, latents, training):
            loss, terms = super().discriminator_objective(real, latents, training)
            return loss, {"discriminator_loss": terms["discriminator_loss"]}

    gan = Hiding(*image_networks(), keras_gan.priors.Normal(3), (-1, 1), seed=0)
    gan.compile("sgd", "sgd", augmentation="ada")
    with pytest.raises(ValueError, match="the term 'real_sign'"):
        helpers.train_steps(gan, [batch()])
