"""AC-GAN: D names the class, the loss has it so, and all else sees the logit alone."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import datasets, evaluation, experiments, losses, penalties
from keras_gan.augmentation import ADA
from keras_gan.commands import console
from keras_gan.conditional import LabelLogProbability
from keras_gan.experiments import SettingError, get_preset
from keras_gan.layers import SpectralNormalization
from keras_gan.losses import AuxiliaryClassifier
from tests import extensions, helpers
from tests.test_losses import FAKE, GOLDEN, REAL, generator_loss
from tests.test_networks_conditional import (
    SMALL,
    gan_of,
    judged,
    layers_of,
    normal,
    small,
)

BUILDERS = ("digits_mlp", "paper_mlp", "toy_mlp", "dcgan", "resnet")
LABELS = np.array([2, 0, 1, 1, 2, 0, 0, 2], np.int32)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_softmax(x):
    """In float64, by the definition."""
    x = np.asarray(x, np.float64)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


# === The loss ===

# log p(label | sample), whose negative means are 1.45 and 1.1.
OF_REAL = np.float32([[-0.1], [-2.0], [-0.7], [-3.0]])
OF_FAKE = np.float32([[-1.2], [-0.3], [-2.5], [-0.4]])
ANSWERS = tuple(
    np.concatenate(both, axis=1) for both in ((REAL, OF_REAL), (FAKE, OF_FAKE))
)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("from_samples", [True, False])
@pytest.mark.parametrize("weight", [1.0, 0.5, 0])
def test_golden_values(name, weight, from_samples):
    loss = AuxiliaryClassifier(name, weight, from_samples)
    real, fake = ANSWERS
    golden, learned = GOLDEN[name], 1.45 + 1.1 if from_samples else 1.45
    assert float(loss.discriminator_loss(real, fake)) == pytest.approx(
        golden["discriminator"] + weight * learned, abs=1e-5
    )
    assert float(generator_loss(loss, fake, real)) == pytest.approx(
        golden["generator"] + weight * 1.1, abs=1e-5
    )
    alone = losses.get(name)
    assert (loss.relativistic, loss.boundary) == (alone.relativistic, alone.boundary)
    terms = loss.diagnostics(real, fake)
    assert float(terms.pop("class_loss_real")) == pytest.approx(1.45)
    assert float(terms.pop("class_loss_fake")) == pytest.approx(1.1)
    assert terms == alone.diagnostics(REAL, FAKE)


def test_a_loss_of_the_users_is_wrapped_and_saved():
    loss = AuxiliaryClassifier(extensions.Relativistic(), 0.25, from_samples=False)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again.loss, extensions.Relativistic) and again.weight == 0.25
    assert again.relativistic is True and again.from_samples is False
    assert float(again.generator_loss(*ANSWERS)) == float(loss.generator_loss(*ANSWERS))
    default = losses.get("auxiliary_classifier")
    assert isinstance(default.loss, losses.NonSaturating) and default.weight == 1.0
    assert default.from_samples is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "auxiliary_classifier"}, "logits alone. Received: AuxiliaryClass"),
        ({"loss": "hing"}, "Did you mean 'hinge'"),
        ({"weight": -0.5}, "Expected weight >= 0. Received: -0.5"),
        ({"weight": np.nan}, "Expected weight >= 0. Received: nan"),
        ({"weight": True}, "Expected weight >= 0. Received: True"),
    ],
)
def test_other_arguments_of_the_loss_are_one_line(options, message):
    with pytest.raises(ValueError, match=message) as error:
        AuxiliaryClassifier(**options)
    assert "\n" not in str(error.value)


# === The layer ===


def test_the_layer_is_the_log_softmax_at_the_label():
    logits = 3 * normal(8, 3)
    layer = LabelLogProbability()
    found = layer([logits, LABELS])
    assert found.shape == (8, 1) and layer.num_classes == 3
    expected = log_softmax(logits)[np.arange(8), LABELS][:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    same = layer([logits, LABELS.astype(np.int64)])
    np.testing.assert_array_equal(same, found)
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(copy, LabelLogProbability)
    np.testing.assert_array_equal(copy([logits, LABELS]), found)


def test_extreme_logits_have_finite_answers_and_gradients():
    logits = tf.Variable([[1e4, -1e4, 0.0], [1e4, -1e4, 0.0]])
    with tf.GradientTape() as tape:
        found = LabelLogProbability()([logits, np.array([0, 1])])
    np.testing.assert_allclose(found, [[0.0], [-2e4]])
    gradient = tape.gradient(found, logits)
    np.testing.assert_allclose(gradient, [[0, 0, 0], [-1, 1, 0]], atol=1e-6)


def test_graphs_of_any_batch_size_and_xla():
    layer = LabelLogProbability()
    signature = [[tf.TensorSpec((None, 3)), tf.TensorSpec((None,), tf.int32)]]
    any_size = tf.function(layer, input_signature=signature)
    compiled = tf.function(layer, jit_compile=True)
    for count in (0, 1, 8):
        inputs = [tf.constant(normal(count, 3)), tf.constant(LABELS[:count])]
        for function in (any_size, compiled):
            found = function(inputs)
            assert found.shape == (count, 1)
            np.testing.assert_allclose(found, layer(inputs), rtol=1e-5)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_label_that_is_no_class_is_an_error_on_cpus(wrong):
    with tf.device("cpu"), pytest.raises(tf.errors.InvalidArgumentError):
        LabelLogProbability()([normal(1, 3), np.array([wrong], np.int32)])


def test_other_inputs_of_the_layer_are_refused_in_one_line():
    for shapes in ((None, 5), [(None, 5)], [(None, 4, 5), (None,)]):
        with pytest.raises(ValueError, match=r"\[values, labels\] .*Received shapes"):
            LabelLogProbability().build(shapes)


# === Networks ===


@pytest.mark.parametrize("name", BUILDERS)
def test_no_label_changes_the_logit_and_probabilities_sum_to_1(name):
    generator, discriminator = small(name, auxiliary_classifier=True)
    assert discriminator.output_shape == (None, 2)
    assert discriminator.output.dtype == "float32"
    logits, log_probabilities = np.split(judged(discriminator, [0, 1, 2]), 2, axis=1)
    assert np.unique(logits).size == 1
    assert np.unique(log_probabilities).size == 3
    total = np.exp(log_probabilities.astype(np.float64)).sum()
    assert total == pytest.approx(1, abs=1e-6)
    # Nothing in D has a row for each class, and G is what it is without.
    kinds = (keras.layers.Embedding, keras_gan.conditional.LabelProjection)
    assert not layers_of(discriminator, kinds)
    plain, _ = small(name)
    for ours, theirs in zip(generator.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_builder_without_labels_has_no_classes_to_tell_apart(name):
    with pytest.raises(ValueError, match="^Expected `num_classes` for an auxiliary"):
        small(name, None, auxiliary_classifier=True)


def test_a_normalised_discriminator_normalises_its_classifier():
    for name in ("toy_mlp", "dcgan", "resnet"):
        options = {"discriminator_normalization": "spectral"}
        _, discriminator = small(name, auxiliary_classifier=True, **options)
        (layer,) = (x for x in discriminator.layers if "class_logits" in x.name)
        assert isinstance(layer, SpectralNormalization)
    _, discriminator = small("paper_mlp", size="tfd", auxiliary_classifier=True)
    assert discriminator.get_layer("class_logits").kernel_constraint is not None


def test_packs_have_no_label():
    with pytest.raises(ValueError, match="^Expected pack=1 .*Received: pack=2$"):
        small("toy_mlp", pack=2, auxiliary_classifier=True)


def test_a_classifier_of_fewer_classes_than_the_prior_is_refused():
    _, discriminator = small("toy_mlp", 2, auxiliary_classifier=True)
    generator, _ = small("toy_mlp", 3)
    with pytest.raises(ValueError, match="the prior's 3 classes.*has 2; build them"):
        gan_of((generator, discriminator), loss="auxiliary_classifier")


# === Algorithm 1 ===


def linear_networks():
    """G(z, y) = z W + E_y; D's logit is x a, and those of the classes are x C."""
    init = [keras.initializers.RandomNormal(seed=i) for i in range(4)]
    labels = keras.Input((), dtype="int32", name="labels")
    latents = keras.Input((3,), name="latents")
    options = {"use_bias": False}
    moved = keras.layers.Dense(4, kernel_initializer=init[0], **options)(latents)
    table = keras.layers.Embedding(3, 4, init[1])(labels)
    samples = keras.layers.Add()([moved, table])
    generator = keras.Model({"latents": latents, "labels": labels}, samples)
    inputs = keras.Input((4,), name="samples")
    to_logit = keras.layers.Dense(1, kernel_initializer=init[2], name="a", **options)
    to_class = keras.layers.Dense(3, kernel_initializer=init[3], name="c", **options)
    logits, classes = to_logit(inputs), to_class(inputs)
    named = LabelLogProbability()([classes, labels])
    answers = keras.layers.Concatenate()([logits, named])
    return generator, keras.Model({"samples": inputs, "labels": labels}, answers)


@pytest.mark.parametrize(("k", "from_samples"), [(1, True), (2, True), (2, False)])
def test_a_step_is_algorithm_1_by_hand(k, from_samples):
    prior = keras_gan.priors.Labelled(keras_gan.priors.Normal(3), [0.25, 0.25, 0.5])
    drawn, weight, gamma, rate = [], 0.7, 0.3, 0.5

    class Recorded(keras_gan.GAN):
        def _latents(self, *args):
            drawn.append(super()._latents(*args))
            return drawn[-1]

    gan = Recorded(*linear_networks(), prior, None, seed=0)
    gan.compile(
        *(keras.optimizers.SGD(rate) for _ in range(2)),
        loss=AuxiliaryClassifier(weight=weight, from_samples=from_samples),
        penalties=[penalties.R1(gamma)],
        discriminator_steps=k,
        run_eagerly=True,
    )
    w, e = (v.numpy().astype(np.float64) for v in gan.generator.trainable_variables)
    kernels = [gan.discriminator.get_layer(name).kernel for name in "ac"]
    a, c = (v.numpy().astype(np.float64) for v in kernels)
    x = helpers.examples(8)
    logs = gan.train_on_batch(x, LABELS, return_dict=True)

    def fakes(latents):
        labels = latents["labels"].numpy()
        return latents["latents"].numpy().astype(np.float64) @ w + e[labels], labels

    def of_classes(rows, labels):
        """The mean log p(label | x), and its gradient by the classes' logits."""
        log_p = log_softmax(rows @ c)
        gradient = (np.eye(3)[labels] - np.exp(log_p)) / len(rows)
        return log_p[np.arange(len(rows)), labels].mean(), gradient

    assert len(drawn) == k + 1
    terms = []
    for j in range(k):
        real, classes = x[j::k].astype(np.float64), LABELS[j::k]
        fake, asked = fakes(drawn[j])
        logits, m = (real @ a, fake @ a), len(real)
        value = np.log(sigmoid(logits[0])).mean() + np.log(sigmoid(-logits[1])).mean()
        named, g_real = of_classes(real, classes)
        named_fake, g_fake = of_classes(fake, asked)
        learned = named + named_fake if from_samples else named
        # The logit's slope is a everywhere; that of log p would add to it.
        r1 = 0.5 * gamma * np.sum(a**2)
        terms.append(
            {
                "discriminator_loss": -value - weight * learned + r1,
                "value": value,
                "d_real": sigmoid(logits[0]).mean(),
                "d_fake": sigmoid(logits[1]).mean(),
                "class_loss_real": -named,
                "class_loss_fake": -named_fake,
                "r1": r1,
            }
        )
        of_real, of_fake = (sigmoid(logits[0]) - 1) / m, sigmoid(logits[1]) / m
        a_step = real.T @ of_real + fake.T @ of_fake + gamma * a
        c_step = -weight * (real.T @ g_real + from_samples * fake.T @ g_fake)
        a, c = a - rate * a_step, c - rate * c_step
    fake, asked = fakes(drawn[k])
    named, g_fake = of_classes(fake, asked)
    g_loss = -np.log(sigmoid(fake @ a)).mean() - weight * named
    of_fake = (sigmoid(fake @ a) - 1) / len(fake) @ a.T - weight * g_fake @ c.T
    latents = drawn[k]["latents"].numpy().astype(np.float64)
    e_step = np.zeros_like(e)
    np.add.at(e_step, asked, of_fake)
    w, e = w - rate * latents.T @ of_fake, e - rate * e_step
    found = [*gan.generator.trainable_variables, *kernels]
    for variable, expected in zip(found, (w, e, a, c), strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, atol=2e-6)
    means = {name: np.mean([each[name] for each in terms]) for name in terms[0]}
    expected = {**means, "generator_loss": g_loss}
    assert {name: float(log) for name, log in logs.items()} == pytest.approx(
        expected, abs=2e-6
    )


# === What sees the logit alone ===


@pytest.mark.parametrize("name", sorted(penalties.BY_NAME))
def test_penalties_are_those_of_the_logit(name):
    gan = extensions.gan_with("classified")
    real, fake = (
        {"samples": tf.constant(helpers.examples(8, i)), "labels": tf.constant(LABELS)}
        for i in range(2)
    )
    penalty, seed = penalties.BY_NAME[name](), tf.constant([1, 2])
    columns = [lambda inputs: gan.discriminator(inputs)[:, :1], gan.discriminator]
    logit, both = (float(penalty(each, real, fake, seed)) for each in columns)
    found = float(penalty(gan.critic(training=True), real, fake, seed))
    assert found == pytest.approx(logit, rel=1e-5)
    assert abs(both - logit) > 1e-3 * abs(logit)
    assert gan.critic(training=False)(real).shape == (8, 1)
    np.testing.assert_array_equal(
        gan.critic(training=False).answers(real), gan.discriminator(real)
    )


@pytest.mark.slow
def test_adas_sign_is_that_of_the_logit():
    shape, options = SMALL["dcgan"]
    options = {**options, "discriminator_normalization": None}
    gan = gan_of(
        small("dcgan", auxiliary_classifier=True, **options),
        rate=0.0,
        loss="auxiliary_classifier",
        augmentation=ADA(),
    )
    x = np.random.default_rng(0).uniform(size=(8, *shape)).astype(np.float32)
    logs = gan.train_on_batch(x, LABELS, return_dict=True)
    answers = np.asarray(gan.discriminator({"samples": x, "labels": LABELS}))
    expected = np.sign(answers[:, 0]).mean()
    assert float(logs["real_sign"]) == pytest.approx(expected)
    assert abs(np.sign(answers).mean() - expected) > 0.1


def test_ds_accuracy_is_that_of_the_logit():
    gan = extensions.gan_with("classified")
    x, labels = extensions.batch_for("classified", 30)
    inputs = {"samples": x, "labels": labels}
    others = {"samples": x - 1.0, "labels": labels}
    found = evaluation.discriminator_accuracy(gan, inputs, others)
    of_examples, of_samples = (
        np.asarray(gan.discriminator(each))[:, 0] > 0 for each in (inputs, others)
    )
    assert found == (of_examples.mean() + 1 - of_samples.mean()) / 2
    gan.compile("sgd", "sgd", loss=AuxiliaryClassifier("wasserstein"))
    found = evaluation.discriminator_accuracy(gan, inputs, others)
    logits = [np.asarray(gan.discriminator(x))[:, 0] for x in (inputs, others)]
    right = [each > np.median(logits) for each in logits]
    assert found == (right[0].mean() + 1 - right[1].mean()) / 2


def test_held_out_answers_say_how_well_d_names_examples():
    x, labels = extensions.batch_for("classified", 60)
    data = datasets.Dataset(x, labels, value_range=None)
    gan = extensions.gan_with("classified")
    parts = data.subset(slice(40), "train"), data.subset(slice(40, 60), "valid")
    found = evaluation.HeldOutAnswers(*parts)(gan)
    expected = {"value", "d_real", "d_fake", "class_loss_real", "class_loss_fake"}
    assert {name[4:] for name in found if name.startswith("val_")} == expected
    assert {name[6:] for name in found if name.startswith("train_")} == {
        "d_real",
        "class_loss_real",
    }
    valid = gan.discriminator({"samples": x[40:], "labels": labels[40:]})
    logits, named = np.asarray(valid, np.float64).T
    assert found["val_class_loss_real"] == pytest.approx(-named.mean(), rel=1e-5)
    assert found["val_d_real"] == pytest.approx(sigmoid(logits).mean(), rel=1e-5)


# === What does not fit ===


def test_a_loss_and_a_discriminator_that_do_not_fit_are_one_line():
    gan = extensions.gan_with("classified")
    message = "^Expected loss=losses.AuxiliaryClassifier.* Received: Hinge, which reads"
    with pytest.raises(ValueError, match=message) as error:
        gan.compile("sgd", "sgd", loss="hinge")
    assert "\n" not in str(error.value)
    message = (
        r"\(None, 2\), .* for the loss AuxiliaryClassifier. Received .*\(None, 1\)"
    )
    for gan in (extensions.gan_with("labelled"), helpers.tiny_gan()):
        with pytest.raises(ValueError, match=message) as error:
            gan.compile("sgd", "sgd", loss=AuxiliaryClassifier("hinge"))
        assert "\n" not in str(error.value)


def test_other_columns_are_refused_when_the_gan_is_made():
    generator, _ = extensions.labelled_networks()
    samples = keras.Input((4,), name="samples")
    labels = keras.Input((), dtype="int32", name="labels")
    wide = keras.layers.Dense(3)(samples)
    prior = extensions.ClassPrior(3)
    discriminator = keras.Model({"samples": samples, "labels": labels}, wide)
    message = r"\(None, 1\), or \(None, 2\) with .*Received output shape: \(None, 3\)"
    with pytest.raises(ValueError, match=message):
        keras_gan.GAN(generator, discriminator, prior, None)
    # Without labels there is nothing to name.
    generator, _ = helpers.tiny_networks()
    discriminator = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    message = r"shape \(None, 1\)\. Received output shape: \(None, 2\)$"
    with pytest.raises(ValueError, match=message):
        keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(3), None)


# === Experiments ===

ASKED = {
    "data.conditional": True,
    "loss": "auxiliary_classifier",
    "networks.auxiliary_classifier": True,
}


def test_an_experiment_has_it_by_its_settings():
    settings = {**ASKED, "loss.loss": "hinge", "loss.weight": "0.25"}
    settings["loss.from_samples"] = "false"
    data = datasets.load("digits", "train")
    gan = experiments.build(get_preset("digits", settings), data)
    assert gan.discriminator.output_shape == (None, 2)
    loss = gan.adversarial_loss
    assert isinstance(loss.loss, losses.Hinge) and loss.weight == 0.25
    assert loss.from_samples is False


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": "hinge"}, "networks.auxiliary_classifier to be false for loss=hinge"),
        (
            {"networks.auxiliary_classifier": False},
            "networks.auxiliary_classifier to be true for loss=auxiliary_classifier",
        ),
        ({"data.conditional": False}, "data.conditional to be true for loss=aux"),
        ({"loss.weight": "much"}, "loss.weight to be a number"),
    ],
)
def test_settings_that_do_not_fit_are_one_line(changed, message):
    experiment = get_preset("digits", {**ASKED, **changed})
    with pytest.raises(SettingError, match=message):
        experiments.check(experiment)


def test_networks_that_have_no_classifier_are_refused_before_the_first_step():
    settings = {"networks": "r3gan", "networks.width": 8, **ASKED}
    settings.pop("networks.auxiliary_classifier")
    experiment = get_preset("digits", settings)
    with pytest.raises(ValueError, match=r"output shape \(None, 2\), a logit"):
        experiments.build(experiment, datasets.load("digits", "train"))


def test_the_command_trains_it(tmp_path, capsys):
    run = tmp_path / "run"
    arguments = ["--preset=digits", "--loss=auxiliary_classifier", f"--workdir={run}"]
    arguments += ["--conditional", "--epochs=1"]
    assert console.run(arguments, "train") == 1
    message = "error: Expected networks.auxiliary_classifier to be true for"
    assert message in capsys.readouterr().err and not run.exists()
    arguments += ["--set=networks.auxiliary_classifier=true"]
    assert console.run(arguments, "train") == 0
    (line,) = (run / "metrics.jsonl").read_text().splitlines()
    logs = json.loads(line)
    assert 0 < logs["class_loss_real"] < np.log(10) + 1


@pytest.mark.slow
def test_digits_are_of_the_class_that_was_asked_for():
    """One in ten would be by chance; with seed 0 it was 97.9% of 2,000."""
    from sklearn.svm import SVC

    data = datasets.load("digits", "train")
    judge = SVC(gamma=0.001).fit(16 * data.examples().reshape(-1, 64), data.labels)
    gan = experiments.build(get_preset("digits", {**ASKED, "epochs": 60}), data)
    gan.fit(data.batches(100, seed=0, labels=True), epochs=60, verbose=0)
    labels = np.arange(1000) % 10
    samples = gan.generate(1000, seed=1, labels=labels)
    named = judge.predict(16 * samples.reshape(-1, 64))
    assert np.mean(named == labels) > 0.9
    # Samples of one class are not all alike.
    spread = np.mean([samples[labels == label].std(axis=0) for label in range(10)])
    assert spread > 0.02
