"""What `fit` is given: forms that work, and mistakes that are not silent."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import callbacks, datasets, penalties
from tests import extensions, helpers

SHAPE = (8, 8, 1)


def a_gan(value_range=(0.0, 1.0), activation="sigmoid", shape=SHAPE, **options):
    keras.utils.set_random_seed(0)
    generator = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(int(np.prod(shape)), activation=activation),
            keras.layers.Reshape(shape),
        ]
    )
    # ReLUs turn NaN into 0, so that no loss tells.
    discriminator = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dense(1),
        ]
    )
    gan = keras_gan.GAN(
        generator, discriminator, keras_gan.priors.Normal(8), value_range, seed=0
    )
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), **options)
    return gan


def pictures(count=64, shape=SHAPE):
    return np.random.default_rng(0).random((count, *shape), np.float32)


def spoilt(row=40, value=np.nan):
    x = pictures()
    x[row, 2, 2] = value
    return x


def stream(x, batch_size=16):
    return tf.data.Dataset.from_tensor_slices(x).batch(batch_size)


def generator_of(x, batch_size=16):
    """A Python generator: Keras takes tuples from it."""
    for start in range(0, len(x), batch_size):
        yield (x[start : start + batch_size],)


class Sequence(keras.utils.PyDataset):
    def __init__(self, x):
        super().__init__()
        self.x = x

    def __len__(self):
        return len(self.x) // 16

    def __getitem__(self, number):
        return (self.x[16 * number : 16 * number + 16],)


FORMS = {
    "array": lambda x: x,
    "tensor": tf.constant,
    "dict": lambda x: {"image": x, "label": np.zeros(len(x), int)},
    "stream": stream,
    "stream of dicts": lambda x: stream({"image": x, "label": np.zeros(len(x))}),
    "unknown rank": lambda x: tf.data.Dataset.from_generator(
        lambda: (each for (each,) in generator_of(x)), output_types=x.dtype
    ),
    "generator": generator_of,
    "PyDataset": Sequence,
}
WHOLE = ("array", "tensor", "dict")


def fitted(gan, data, **options):
    """The history of one epoch; every warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return gan.fit(data, verbose=0, **options).history


# === Forms ===


@pytest.mark.parametrize("form", FORMS)
def test_every_form_trains_alike(form):
    options = {"batch_size": 16, "shuffle": False} if form in WHOLE else {}
    if form in ("generator", "PyDataset"):
        options["shuffle"] = False
    gan, expected = a_gan(), a_gan()
    if form in ("generator", "unknown rank"):
        # Keras does not know their length before their end, and says so.
        gan.fit(FORMS[form](pictures()), verbose=0, **options)
    else:
        fitted(gan, FORMS[form](pictures()), **options)
    for batch in stream(pictures()):
        expected.train_on_batch(batch)
    for ours, theirs in zip(gan.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.parametrize(
    ("form", "value_range"),
    [
        ("array", (0.0, 1.0)),
        ("stream", (-1.0, 1.0)),
        *(
            pytest.param(form, (-1.0, 1.0), marks=pytest.mark.slow)
            for form in ("array", "dict", "PyDataset")
        ),
    ],
)
def test_uint8_stands_for_the_range(form, value_range):
    bytes_ = np.random.default_rng(1).integers(0, 256, (64, *SHAPE), np.uint8)
    options = {"shuffle": False}
    if form in WHOLE:
        options["batch_size"] = 16
    gan, expected = (a_gan(value_range, activation="linear") for _ in range(2))
    fitted(gan, FORMS[form](bytes_), **options)
    low, high = value_range
    floats = bytes_.astype(np.float32) / 255.0 * (high - low) + low
    fitted(expected, floats, batch_size=16, shuffle=False)
    for ours, theirs in zip(gan.weights, expected.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)


def test_a_dataset_of_the_package_gives_its_own_batches():
    data = datasets.load("digits", "train")
    gan, expected = a_gan(), a_gan()
    fitted(gan, data, batch_size=100, epochs=2)
    fitted(expected, data.batches(100, seed=0), epochs=2)
    assert gan.generator_steps == 2 * data.steps_per_epoch(100)
    for ours, theirs in zip(gan.weights, expected.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert gan.evaluate(data, verbose=0, return_dict=True).keys() >= {"value"}


def test_a_dataset_in_another_range_is_refused_before_the_first_step():
    gan = a_gan((-1.0, 1.0), "tanh")
    with pytest.raises(ValueError, match=r"in \(0.0, 1.0\); see Dataset.to_range"):
        gan.fit(datasets.load("digits"))
    assert gan.generator_steps == 0


@pytest.mark.parametrize(
    ("x", "hint"),
    [
        (pictures(shape=(3, 4, 5)), "move the channels to the last axis"),
        (pictures(shape=(4, 5)), r"Expected batches of shape \(None, 4, 5, 3\)"),
        (np.ones((4, 4, 5, 3), np.int64), "or uint8. Received: int64; scale and cast"),
    ],
)
@pytest.mark.parametrize("form", ["array", "stream"])
def test_shapes_and_dtypes_that_are_refused_say_what_to_do(form, x, hint):
    gan = a_gan(shape=(4, 5, 3))
    with pytest.raises(ValueError, match=hint):
        gan.fit(FORMS[form](x), verbose=0)
    assert gan.generator_steps == 0


def test_a_missing_channel_axis_is_named():
    with pytest.raises(ValueError, match=re.escape("add the channel axis: x[..., Non")):
        a_gan().fit(pictures()[..., 0], verbose=0)


# === Values ===


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", FORMS)
def test_data_that_are_not_finite_end_the_training(form, value, tmp_path):
    gan = a_gan()
    saving = callbacks.SaveModel(tmp_path / "gan.keras")
    error, words = (
        ValueError,
        "Expected finite data. Received: 1 NaN or infinite values",
    )
    if form not in WHOLE:
        error, words = callbacks.TrainingDiverged, "step 4: the weights .*kernel"
    options = {"shuffle": False} if form == "PyDataset" else {}
    with pytest.raises(error, match=words):
        data = FORMS[form](spoilt(value=value))
        gan.fit(data, verbose=0, callbacks=[saving], **options)
    # Arrays are looked at as a whole; of the rest no epoch ends.
    assert gan.generator_steps == (0 if form in WHOLE else 4)
    assert not (tmp_path / "gan.keras").exists()


@pytest.mark.parametrize("place", ["fit", "evaluate"])
@pytest.mark.parametrize("form", ["array", "stream"])
def test_data_to_validate_on_are_looked_at_too(form, place):
    """D of ReLUs would make a number of NaN, and the logs would read like any other."""
    gan = a_gan()
    spoilt_ones = FORMS[form](spoilt())

    def logs():
        if place == "evaluate":
            return gan.evaluate(spoilt_ones, verbose=0, return_dict=True)
        history = gan.fit(pictures(), validation_data=spoilt_ones, verbose=0).history
        return {name[4:]: v[0] for name, v in history.items() if name[:4] == "val_"}

    if form in WHOLE:
        with pytest.raises(ValueError, match="Expected finite data"):
            logs()
    else:
        assert np.isnan(list(logs().values())).all()
    assert np.isfinite(fitted(gan, stream(pictures()))["value"]).all()


@pytest.mark.parametrize(
    ("x", "value_range", "activation"),
    [
        (255 * pictures(), (0.0, 1.0), "sigmoid"),
        (2 * pictures() - 1, (0.0, 1.0), "sigmoid"),
        (255 * pictures(), (-1.0, 1.0), "tanh"),
        (3 * pictures() - 1.5, (-1.0, 1.0), "tanh"),
    ],
)
@pytest.mark.parametrize("form", ["array", "stream", "PyDataset"])
def test_data_of_another_range_end_the_training(form, x, value_range, activation):
    gan = a_gan(value_range, activation)
    with pytest.raises(ValueError, match=r"Expected data in value_range=.* rescale"):
        gan.fit(FORMS[form](x), verbose=0)
    assert gan.generator_steps == (0 if form in WHOLE else 1)


@pytest.mark.parametrize(
    ("x", "value_range"),
    [
        (pictures(), (-1.0, 1.0)),
        (pictures() - 1, (-1.0, 1.0)),
        (pictures() / 255, (0.0, 1.0)),
    ],
)
@pytest.mark.parametrize("form", ["array", "stream"])
def test_data_that_use_half_of_the_range_are_warned_of_once(form, x, value_range):
    gan = a_gan(value_range, activation="linear")
    with pytest.warns(
        UserWarning, match="The data lie between .* in one half"
    ) as found:
        gan.fit(FORMS[form](x), epochs=3, verbose=0)
    assert len([w for w in found if "in one half" in str(w.message)]) == 1


@pytest.mark.parametrize("form", ["array", "stream"])
def test_contrast_normalised_pictures_have_no_bounds(form):
    """Those of 8x8 have a standard deviation of 55 / 8."""
    data = datasets.load("digits", "train").contrast_normalized()
    gan = a_gan(data.value_range, activation="linear")
    assert np.abs(data.images).max() > 3
    fitted(gan, FORMS[form](data.images))
    fitted(gan, data)


@pytest.mark.parametrize("form", ["array", "stream"])
def test_without_a_range_any_finite_values_are_fine(form):
    x = 1e6 * helpers.examples(64)
    gan = helpers.tiny_gan(
        generator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_optimizer=keras.optimizers.SGD(0.0),
    )
    fitted(gan, FORMS[form](x))
    x[3] = np.nan
    with pytest.raises(
        (ValueError, callbacks.TrainingDiverged), match="Expected finite|the weights"
    ):
        gan.fit(FORMS[form](x), verbose=0)


# === One batch ===

ON_BATCH = ("train_on_batch", "test_on_batch")


@pytest.mark.parametrize("method", ON_BATCH)
@pytest.mark.parametrize("form", WHOLE)
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (spoilt(row=5), "finite data. Received: 1 NaN or infinite values.*in row 5"),
        (spoilt(row=0, value=-np.inf), "finite data. Received: 1 NaN or infinite"),
        (255 * pictures(), r"Expected data in value_range=\(0.0, 1.0\).* to 25\d"),
        (2 * pictures() - 1, r"Expected data in value_range=\(0.0, 1.0\).* -0.9\d"),
        (np.ones((4, *SHAPE), np.int64), "or uint8. Received: int64; scale and cast"),
        (pictures()[..., 0], "add the channel axis"),
        (pictures()[:0], "Expected at least one example"),
    ],
)
def test_a_batch_by_itself_is_checked_as_by_fit(method, form, x, words):
    gan = a_gan()
    before = [variable.numpy() for variable in gan.variables]
    with pytest.raises(ValueError, match=words):
        getattr(gan, method)(FORMS[form](x))
    for variable, value in zip(gan.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize("method", ON_BATCH)
@pytest.mark.parametrize(
    "x",
    [
        pictures() * 0.3,  # dark ones: fit would warn, of all data
        pictures() * 1.01 - 0.005,  # what resizing overshoots
        np.full((4, *SHAPE), 255, np.uint8),
        pictures().astype(np.float16),
    ],
)
def test_a_batch_that_may_be_right_is_taken_in_silence(method, x):
    gan = a_gan()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        logs = getattr(gan, method)(x, return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    assert gan.generator_steps == (method == "train_on_batch")


@pytest.mark.parametrize("method", ON_BATCH)
def test_a_batch_without_a_range_needs_finite_values_alone(method):
    gan = helpers.tiny_gan()
    x = 1e3 * helpers.examples(8)
    assert np.isfinite(getattr(gan, method)(x, return_dict=True)["value"])
    x[3] = np.inf
    with pytest.raises(ValueError, match="4 NaN or infinite values, the first in row"):
        getattr(gan, method)(x)


def test_weights_of_a_batch_are_refused():
    gan, x = helpers.tiny_gan(), helpers.examples(8)
    for method in ON_BATCH:
        with pytest.raises(ValueError, match="Expected no sample_weight"):
            getattr(gan, method)(x, None, np.ones(8))
    with pytest.raises(ValueError, match="Expected no class_weight"):
        gan.train_on_batch(x, class_weight={0: 1.0})


# === Latents ===


@pytest.mark.parametrize("method", ["predict", "predict_on_batch", "samples_of"])
@pytest.mark.parametrize(
    ("x", "words"),
    [
        (pictures(5), r"shape \(n, 8\).* shape \(5, 8, 8, 1\), as samples have; `dis"),
        (
            np.zeros((5, 9), "f"),
            r"shape \(n, 8\).* Received: shape \(5, 9\)$",
        ),
        (np.zeros(8, "f"), r"Received: shape \(8,\)$"),
        ({"latents": np.zeros((5, 8), "f")}, r"shapes {'latents': \(5, 8\)}$"),
    ],
)
@pytest.mark.parametrize("form", ["array", "tensor"])
def test_what_are_no_latents_is_one_line(method, x, words, form):
    gan = a_gan()
    if form == "tensor":
        x = keras.tree.map_structure(tf.constant, x)
    with pytest.raises(ValueError, match=f"Expected latents of .*{words}") as error:
        getattr(gan, method)(x)
    assert "\n" not in str(error.value)


def test_streams_of_latents_are_looked_at_too():
    gan = a_gan()
    latents = gan.latent_prior.sample(20, 0).numpy()
    expected = gan.predict(latents, verbose=0)
    for data in (stream(latents), stream((latents,)), list(generator_of(latents))[0]):
        found = gan.predict(data, verbose=0)
        np.testing.assert_allclose(found, expected[: len(found)], atol=1e-6)
    for data in (stream(pictures()), stream((pictures(),))):
        with pytest.raises(ValueError, match=r"\(n, 8, 8, 1\), as samples have"):
            gan.predict(data, verbose=0)


def test_labelled_latents_are_named():
    gan = extensions.gan_with("labelled", discriminator_steps=1)
    latents = gan.latent_prior.sample(5, 0)
    assert gan.predict(latents, verbose=0).shape == (5, 4)
    words = re.escape("shapes {'latents': (n, 3), 'labels': (n,)}, as `latent_prior")
    for wrong in (latents["latents"], {"latents": latents["latents"]}):
        with pytest.raises(ValueError, match=words):
            gan.predict(wrong, verbose=0)


# === Weights ===


class Spoil(keras.callbacks.Callback):
    """Makes a weight NaN at the end of a batch, in a way that no loss tells."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.generator_steps == self.step:
            bias = self.model.generator.layers[0].bias
            bias.assign(np.full(bias.shape, np.nan, np.float32))


def test_weights_that_are_not_finite_end_the_training(tmp_path):
    gan = a_gan()
    saving = callbacks.SaveModel(tmp_path / "gan.keras")
    with pytest.raises(callbacks.TrainingDiverged, match="step 4: the weights .*bias"):
        gan.fit(stream(pictures()), epochs=2, verbose=0, callbacks=[Spoil(3), saving])
    assert not (tmp_path / "gan.keras").exists()


def test_weights_are_looked_at_when_a_training_ends():
    gan = a_gan()
    with pytest.raises(callbacks.TrainingDiverged, match="the weights .*bias"):
        gan.fit(stream(pictures()), epochs=50, verbose=0, callbacks=Spoil(199))


# === Nothing else changes ===


@pytest.mark.parametrize(
    ("options", "jit_compile"),
    [
        ({}, False),
        pytest.param({}, True, marks=pytest.mark.slow),
        pytest.param(
            {"discriminator_steps": 2, "ema_decay": 0.9}, False, marks=pytest.mark.slow
        ),
        pytest.param({"discriminator_steps": 2}, True, marks=pytest.mark.slow),
        pytest.param({"ema_decay": 0.9}, True, marks=pytest.mark.slow),
    ],
)
def test_the_watch_is_no_part_of_the_model(options, jit_compile, tmp_path):
    gan = a_gan(penalties=[penalties.R1(1.0)], jit_compile=jit_compile, **options)
    fitted(gan, stream(pictures()))
    assert not any("data_watch" in variable.path for variable in gan.variables)
    gan.save(tmp_path / "gan.keras")
    again = keras.saving.load_model(tmp_path / "gan.keras")
    fitted(again, stream(pictures()))
    with pytest.raises(callbacks.TrainingDiverged, match="the weights"):
        again.fit(stream(spoilt()), verbose=0)


def test_arguments_of_fit_go_by_their_places_too(capsys):
    gan = a_gan()
    gan.fit(pictures(), None, 16, 2, 0)
    assert gan.generator_steps == 8 and capsys.readouterr().out == ""


# === What Keras takes and a GAN has no place for ===


@pytest.mark.parametrize("name", ["sample_weight", "class_weight"])
def test_weights_are_refused_and_not_ignored(name):
    gan, x = helpers.tiny_gan(), helpers.examples(8)
    value = np.ones(8) if name == "sample_weight" else {0: 1.0}
    with pytest.raises(ValueError, match=f"Expected no {name}: the losses of a GAN"):
        gan.fit(x, verbose=0, **{name: value})
    assert gan.generator_steps == 0


def test_a_generator_of_bare_batches_trains():
    gan = helpers.tiny_gan()
    batches = (helpers.examples(8, seed=i) for i in range(3))
    gan.fit(batches, steps_per_epoch=3, verbose=0)
    assert gan.generator_steps == 3


def test_no_examples_are_an_error():
    with pytest.raises(ValueError, match="Expected at least one example"):
        helpers.tiny_gan().fit(helpers.examples(8)[:0], verbose=0)


def test_the_first_row_that_is_not_finite_is_named():
    x = helpers.examples(60)
    x[40, 1], x[50] = np.nan, np.inf
    with pytest.raises(ValueError, match="5 NaN or infinite values, the first in row"):
        helpers.tiny_gan().fit(x, verbose=0)
