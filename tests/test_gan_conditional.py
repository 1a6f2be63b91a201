"""Conditional models, p(x | label): Algorithm 1, samples by class, wrong labels."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan.datasets import Dataset
from tests import extensions, helpers

NAMES = ("ant", "bee", "cat")


def conditional(**options):
    """A compiled GAN of three classes, whose samples are vectors of 4 values."""
    prior = keras_gan.priors.Labelled(
        keras_gan.priors.Normal(3), [0.25, 0.25, 0.5], NAMES
    )
    gan = keras_gan.GAN(*extensions.labelled_networks(), prior, None, seed=0)
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), **options)
    return gan


def unconditional():
    gan = keras_gan.GAN(
        *helpers.tiny_networks(), keras_gan.priors.Normal(3), None, seed=0
    )
    gan.compile("sgd", "sgd")
    return gan


X, LABELS = helpers.examples(8), np.array([0, 1, 2, 0, 1, 2, 2, 1])


# === Algorithm 1 ===


def linear_networks():
    """G(z, y) = z W + E_y and D(x, y) = x a + b_y, which NumPy can replay."""
    labels = keras.Input((), dtype="int32", name="labels")
    latents = keras.Input((3,), name="latents")
    init = keras.initializers.RandomNormal(seed=1)

    def embedding(size, seed):
        start = keras.initializers.RandomNormal(seed=seed)
        return keras.layers.Embedding(3, size, start)(labels)

    moved = keras.layers.Dense(4, use_bias=False, kernel_initializer=init)(latents)
    samples = keras.layers.Add()([moved, embedding(4, 2)])
    generator = keras.Model({"latents": latents, "labels": labels}, samples)
    inputs = keras.Input((4,), name="samples")
    logits = keras.layers.Dense(1, use_bias=False, kernel_initializer=init)(inputs)
    logits = keras.layers.Add()([logits, embedding(1, 3)])
    return generator, keras.Model({"samples": inputs, "labels": labels}, logits)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("k", [1, 2])
def test_a_step_with_labels_is_algorithm_1_by_hand(k):
    prior = keras_gan.priors.Labelled(keras_gan.priors.Normal(3), [0.25, 0.25, 0.5])
    drawn = []

    class Recorded(keras_gan.GAN):
        def _latents(self, *args):
            drawn.append(super()._latents(*args))
            return drawn[-1]

    gan = Recorded(*linear_networks(), prior, None, seed=0)
    sgd = [keras.optimizers.SGD(0.5) for _ in range(2)]
    gan.compile(*sgd, discriminator_steps=k, run_eagerly=True)
    w, e = (v.numpy().astype(np.float64) for v in gan.generator.trainable_variables)
    a, b = (v.numpy().astype(np.float64) for v in gan.discriminator.trainable_variables)
    gan.train_on_batch(X, LABELS)

    def fakes(latents):
        labels = latents["labels"].numpy()
        return latents["latents"].numpy().astype(np.float64) @ w + e[labels], labels

    def added_up(rows, labels):
        table = np.zeros((3, rows.shape[1]))
        np.add.at(table, labels, rows)
        return table

    assert len(drawn) == k + 1
    for j in range(k):
        real, classes = X[j::k].astype(np.float64), LABELS[j::k]
        fake, asked = fakes(drawn[j])
        m = len(real)
        # The gradient of softplus(-real logits) and of softplus(fake logits).
        of_real = (sigmoid(real @ a + b[classes]) - 1) / m
        of_fake = sigmoid(fake @ a + b[asked]) / m
        a_step = real.T @ of_real + fake.T @ of_fake
        b_step = added_up(of_real, classes) + added_up(of_fake, asked)
        a, b = a - 0.5 * a_step, b - 0.5 * b_step
    fake, asked = fakes(drawn[k])
    of_fake = (sigmoid(fake @ a + b[asked]) - 1) / len(fake) @ a.T
    latents = drawn[k]["latents"].numpy().astype(np.float64)
    w, e = w - 0.5 * latents.T @ of_fake, e - 0.5 * added_up(of_fake, asked)
    found = [*gan.generator.trainable_variables, *gan.discriminator.trainable_variables]
    for variable, expected in zip(found, (w, e, a, b), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, atol=2e-6)
    # Labels of fakes are the prior's own.
    assert all((each["labels"].numpy() != LABELS[::k]).any() for each in drawn)


# === Samples of a class ===


def test_samples_are_of_the_class_that_is_asked_for():
    gan = conditional()
    latents = gan.latent_prior.prior.sample(6, 5)
    for asked, labels in (
        (2, [2] * 6),
        ("bee", [1] * 6),
        ([0, 1, 2, 2, 1, 0], [0, 1, 2, 2, 1, 0]),
        (["cat", "ant"] * 3, [2, 0] * 3),
    ):
        expected = gan.samples_of({"latents": latents, "labels": np.int32(labels)})
        found = gan.generate(6, seed=5, labels=asked)
        np.testing.assert_array_equal(found, expected)
        # As many at once as one likes.
        few = gan.generate(6, seed=5, labels=asked, batch_size=4)
        np.testing.assert_allclose(few, expected, rtol=1e-6)
    assert (
        gan.generate(6, seed=5, labels=0) != gan.generate(6, seed=5, labels=1)
    ).all()
    drawn = gan.latent_prior.sample(6, 5)["labels"]
    np.testing.assert_array_equal(
        gan.generate(6, seed=5), gan.generate(6, seed=5, labels=drawn)
    )
    each = gan.generate_each([5, 6], labels=["cat", "ant"])
    for i, (seed, name) in enumerate([(5, "cat"), (6, "ant")]):
        one = gan.generate(1, seed=seed, labels=name)
        np.testing.assert_allclose(each[i : i + 1], one, rtol=1e-6)


def test_a_saved_model_knows_its_classes(tmp_path):
    gan = conditional(ema_decay=0.5)
    gan.fit(X, LABELS, batch_size=4, verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.models.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(
        loaded.generate(5, seed=1, labels="cat"), gan.generate(5, seed=1, labels="cat")
    )
    assert loaded.latent_prior.class_names == NAMES


# === Data ===


def stream(*parts):
    return tf.data.Dataset.from_tensor_slices(parts).batch(4)


@pytest.mark.parametrize(
    "data",
    [
        {"x": X, "y": LABELS},
        {"x": X, "y": np.eye(3)[LABELS]},
        {"x": {"image": X, "label": LABELS}},
        {"x": stream(X, LABELS.astype(np.uint8))},
        {"x": stream(X, np.eye(3, dtype=bool)[LABELS])},
    ],
    ids=["ints", "one-hot", "dict", "stream of bytes", "stream of one-hot"],
)
def test_the_same_labels_in_any_form_are_the_same_training(data):
    expected, found = conditional(), conditional()
    expected.fit(stream(X, LABELS), verbose=0)
    options = {} if isinstance(data["x"], tf.data.Dataset) else {"batch_size": 4}
    found.fit(**data, shuffle=False, verbose=0, **options)
    np.testing.assert_array_equal(
        extensions.weights_of(found), extensions.weights_of(expected)
    )


def test_one_hot_labels_are_said_to_be_taken_as_integers(caplog):
    conditional().fit(X, np.eye(3)[LABELS], batch_size=4, verbose=0)
    said = "Labels are one-hot rows of 3; they are taken as the integers 0 to 2."
    messages = [r.getMessage() for r in caplog.records if r.name == "keras_gan"]
    assert messages == [said]


def test_a_dataset_gives_its_labels():
    data = Dataset(X, LABELS, None, class_names=NAMES)
    expected, found = conditional(), conditional()
    expected.fit(data.batches(4, seed=0, labels=True), verbose=0)
    found.fit(data, batch_size=4, verbose=0)
    np.testing.assert_array_equal(
        extensions.weights_of(found), extensions.weights_of(expected)
    )
    others = Dataset(X, LABELS, None, class_names=("ant", "cat", "bee"))
    with pytest.raises(ValueError, match=r"3 classes \(ant, bee, cat\). Received: 3"):
        conditional().fit(others, verbose=0)
    with pytest.raises(ValueError, match="prior's 3 classes .*Received: 5 classes;"):
        conditional().fit(Dataset(X, LABELS, None, num_classes=5), verbose=0)
    with pytest.raises(ValueError, match="Expected data with labels"):
        conditional().fit(Dataset(X, value_range=None), verbose=0)


# === Labels that are wrong ===

WRONG = {
    "missing": (None, r"\(x, labels\), which a prior that draws labels asks for"),
    "floats": (LABELS.astype(np.float32), "integer (`labels`|labels of shape)"),
    "negative": (LABELS - 1, r"`labels` in \[0, 3\)\. Received: values from -1"),
    "too large": (LABELS + 1, r"`labels` in \[0, 3\)\. Received: values from \d to 3"),
    "names": (np.array(NAMES)[LABELS], "(integer `labels`|integer labels of)"),
    "several of a row": (
        np.eye(3)[LABELS] + np.eye(3)[0],
        r"(with other rows|from -1 .*rows that are not one-hot)",
    ),
    "other width": (np.eye(4)[LABELS], r"(one-hot `labels` of 3|\(batch,\).*, 4\))"),
}


def labelled_call(gan, method, form, labels):
    """A call of `fit` or `evaluate` with labels in one of the forms of an element."""
    call, options = getattr(gan, method), {"verbose": 0, "batch_size": 4}
    if form == "batch":
        call = {"fit": gan.train_on_batch, "evaluate": gan.test_on_batch}[method]
        return lambda: call(X, labels)
    if form == "stream":
        data = stream(X) if labels is None else stream(X, labels)
        return lambda: call(data, verbose=0)
    if form == "validation":
        given = X if labels is None else (X, labels)
        return lambda: call(X, LABELS, validation_data=given, **options)
    if form == "dict":
        data = {"image": X} if labels is None else {"image": X, "label": labels}
        return lambda: call(data, **options)
    return lambda: call(X, labels, **options)


@pytest.mark.parametrize(
    ("method", "kind", "form"),
    [
        *(("fit", kind, "array") for kind in WRONG),
        *(("fit", kind, "stream") for kind in WRONG),
        *(
            ("fit", kind, form)
            for kind in ("missing", "too large")
            for form in ("dict", "batch", "validation")
        ),
        *(("evaluate", "too large", form) for form in ("array", "batch", "stream")),
    ],
)
def test_wrong_labels_are_one_line(method, kind, form):
    labels, message = WRONG[kind]
    gan = conditional()
    before = extensions.weights_of(gan)
    with pytest.raises(ValueError, match=message) as caught:
        labelled_call(gan, method, form, labels)()
    assert "\n" not in str(caught.value)
    if form != "stream":
        np.testing.assert_array_equal(extensions.weights_of(gan), before)


def test_after_wrong_labels_the_next_training_is_none_the_worse():
    gan = conditional()
    with pytest.raises(ValueError, match=r"in \[0, 3\)"):
        gan.fit(stream(X, LABELS + 1), verbose=0)
    gan.fit(stream(X, LABELS), verbose=0)
    assert np.isfinite(extensions.weights_of(gan)).all()


def test_other_lengths_are_one_line():
    gan = conditional()
    for call in (gan.fit, gan.evaluate, gan.train_on_batch):
        with pytest.raises(ValueError, match=r"`labels` of shape \(8,\), one for each"):
            call(X, LABELS[:5])


def test_labels_late_in_a_stream_are_found_at_the_end_of_the_epoch():
    late = LABELS.copy()
    late[-1] = 7
    with pytest.raises(ValueError, match=r"in \[0, 3\)\. Received: values from 0 to 7"):
        conditional().fit(stream(X, late), verbose=0)


def test_labels_of_a_later_epoch_are_found_at_its_end():
    late = LABELS.copy()
    late[-1] = 7
    with pytest.raises(ValueError, match=r"in \[0, 3\)\. Received: values from 0 to 7"):
        conditional().fit(stream(X, late), steps_per_epoch=1, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (3, r"in \[0, 3\)\. Received: values from 3 to 3"),
        (-1, r"in \[0, 3\)"),
        (1.0, "an int or a name, or an array of 4"),
        ([0, 1], r"an array of 4 of them\. Received: int64 of shape \(2,\)"),
        ("dog", "one of 'ant', 'bee', 'cat'. Received: 'dog'"),
    ],
)
def test_samples_of_no_class_are_one_line(labels, message):
    gan = conditional()
    with pytest.raises(ValueError, match=message):
        gan.generate(4, seed=0, labels=labels)
    with pytest.raises(ValueError, match=message):
        gan.generate_each(range(4), labels=labels)


def test_latents_with_labels_that_are_no_class():
    gan = conditional()
    latents = {**gan.latent_prior.sample(3, 0), "labels": np.int32([0, 1, 3])}
    for call in (gan.samples_of, gan.predict_on_batch, gan.predict):
        with pytest.raises(ValueError, match=r"`labels` in \[0, 3\)"):
            call(latents)


def test_an_unconditional_model_has_no_labels_to_ask_for():
    gan = unconditional()
    for call in (
        lambda: gan.generate(2, seed=0, labels=1),
        lambda: gan.generate_each([0], labels="ant"),
    ):
        with pytest.raises(
            ValueError, match="no `labels`: the model is not conditional"
        ):
            call()
