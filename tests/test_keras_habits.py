"""What Keras's users are used to: it works, or one line says what to do instead."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from tests import helpers

layers = keras.layers


def gan_of(generator=None, discriminator=None, **options):
    tiny_generator, tiny_discriminator = helpers.tiny_networks()
    return keras_gan.GAN(
        generator or tiny_generator,
        discriminator or tiny_discriminator,
        keras_gan.priors.Normal(3),
        value_range=None,
        seed=0,
        **options,
    )


def compiled(gan, generator_optimizer=None, discriminator_optimizer=None):
    gan.compile(
        generator_optimizer or keras.optimizers.SGD(0.1),
        discriminator_optimizer or keras.optimizers.SGD(0.1),
    )
    return gan


# === Networks ===


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_of_16_bits_are_refused(dtype):
    """Adam's 1 - beta_2 ** step is 0 in bfloat16: they never moved."""
    discriminator = keras.Sequential([keras.Input((4,)), layers.Dense(1, dtype=dtype)])
    words = (
        f"weights of 32 bits or more.*kernel', {dtype}; with the policy mixed_{dtype}"
    )
    with pytest.raises(ValueError, match=words):
        compiled(gan_of(discriminator=discriminator))


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_frozen_player_is_refused(player):
    """To stack two networks D had to be frozen, once."""
    gan = gan_of()
    getattr(gan, player).trainable = False
    words = f"Expected the {player} to have trainable weights.*which is frozen"
    with pytest.raises(ValueError, match=words):
        compiled(gan)
    getattr(gan, player).trainable = True
    compiled(gan)
    getattr(gan, player).trainable = False  # after compile, where Keras looks no more
    with pytest.raises(ValueError, match=words):
        gan.fit(helpers.examples(8), verbose=0)


def test_a_partly_frozen_network_trains_the_rest():
    gan = compiled(gan_of())
    frozen = gan.discriminator.layers[1]
    frozen.trainable = False
    compiled(gan)
    before = helpers.weights_of(gan.discriminator), frozen.kernel.numpy()
    gan.fit(helpers.examples(8), verbose=0)
    assert np.array_equal(frozen.kernel.numpy(), before[1])
    assert not np.array_equal(helpers.weights_of(gan.discriminator)[0], before[0][0])


def test_a_layer_frozen_after_compile_asks_for_another():
    """Before the first step its slots were lost at load; later it moved on."""
    gan = compiled(gan_of())
    gan.fit(helpers.examples(8), verbose=0)
    gan.discriminator.layers[1].trainable = False
    words = "Expected the [0-9]+ weights of the discriminator .* compile again"
    with pytest.raises(ValueError, match=words):
        gan.fit(helpers.examples(8), verbose=0)
    compiled(gan).fit(helpers.examples(8), verbose=0)


def test_a_frozen_layer_of_spectral_normalization_is_loaded_again(tmp_path):
    normalized = keras_gan.layers.SpectralNormalization(layers.Dense(8))
    net = keras.Sequential([keras.Input((4,)), normalized, layers.Dense(1)])
    gan = gan_of(discriminator=net)
    normalized.trainable = False
    compiled(gan).fit(helpers.examples(8), verbose=0)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert not loaded.discriminator.layers[0].trainable
    for one, other in zip(gan.weights, loaded.weights, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.Sequential([layers.Dense(8), layers.Dense(8)]),
        lambda: layers.LSTM(8),
    ],
)
def test_of_several_kernels_none_is_left_as_it_is(layer):
    """Only the first was normalised."""
    normalized = keras_gan.layers.SpectralNormalization(layer())
    with pytest.raises(ValueError, match="a layer to normalise that has one kernel"):
        normalized(np.zeros((2, 3, 4), "float32"))


def test_validation_logs_what_it_measures_alone():
    gan = gan_of()
    gan.compile("sgd", "sgd", penalties=[keras_gan.penalties.R1(1.0)])
    data = helpers.examples(8)
    logs = gan.fit(data, validation_data=(data,), verbose=0).history
    assert "r1" in logs and "val_r1" not in logs
    assert {"val_discriminator_loss", "val_generator_loss"} <= set(logs)


def test_an_average_waits_for_the_steps_of_accumulated_gradients():
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=4)
    gan = gan_of()
    gan.compile(optimizer, "sgd", ema_decay=0.999)
    gan.fit(helpers.examples(16), batch_size=4, verbose=0)
    assert int(gan.players[1].optimizer.iterations) == 1
    for now, mean in zip(
        gan.generator.weights,
        gan.averaged_generator.weights,
        strict=True,
    ):
        np.testing.assert_allclose(mean, now, rtol=1e-6, atol=1e-7)


def test_a_penalty_that_is_named_like_another_log_is_refused():
    """It took the place of D(x), in silence."""
    penalty = keras_gan.penalties.R1(1.0, name="d_real")
    with pytest.raises(ValueError, match="different names.*'d_real' twice; pass name="):
        gan_of().compile("sgd", "sgd", penalties=[penalty])


def test_a_stream_of_float64_has_a_gradient_penalty():
    gan = gan_of()
    gan.compile("sgd", "sgd", penalties=[keras_gan.penalties.GradientPenalty(1.0)])
    rows = helpers.examples(8).astype("float64")
    logs = gan.fit(tf.data.Dataset.from_tensor_slices(rows).batch(4), verbose=0)
    assert np.isfinite(logs.history["gradient_penalty"][0])


def test_a_generator_without_weights_is_fixed_on_purpose():
    generator = keras.Sequential([keras.Input((3,)), layers.Activation("tanh")])
    discriminator = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    gan = compiled(gan_of(generator, discriminator))
    before = helpers.weights_of(discriminator)
    gan.fit(helpers.examples(8)[:, :3], verbose=0)
    assert not np.array_equal(helpers.weights_of(discriminator)[0], before[0])


@pytest.mark.parametrize("nested", [False, True])
def test_spectral_normalization_is_refused(nested):
    """At rate 0 for both players, `fit` would move its kernel."""
    layer = layers.SpectralNormalization(layers.Dense(1))
    inside = keras.Sequential([keras.Input((4,)), layer]) if nested else layer
    discriminator = keras.Sequential([keras.Input((4,)), inside])
    with pytest.raises(ValueError, match="a SpectralNormalization, which divides its"):
        gan_of(discriminator=discriminator)


LOGIT_ENDS = {
    "Dense": lambda x: layers.Dense(1, activation="sigmoid")(x),
    "Activation": lambda x: layers.Activation("sigmoid")(layers.Dense(1)(x)),
    "float32": lambda x: layers.Activation("sigmoid", dtype="float32")(
        layers.Dense(1)(x)
    ),
    "hard": lambda x: layers.Activation("hard_sigmoid")(layers.Dense(1)(x)),
    "ops": lambda x: keras.ops.sigmoid(layers.Dense(1)(x)),
    "activations": lambda x: keras.activations.sigmoid(layers.Dense(1)(x)),
    "reshaped": lambda x: keras.ops.reshape(
        keras.ops.sigmoid(layers.Dense(1)(x)), (-1, 1)
    ),
    "softmax": lambda x: layers.Softmax()(layers.Dense(1)(x)),
}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("end", LOGIT_ENDS)
def test_a_sigmoid_at_the_end_of_d_is_seen_however_it_is_written(end, nested):
    x = keras.Input((4,))
    discriminator = keras.Model(x, LOGIT_ENDS[end](x))
    if nested:
        discriminator = keras.Sequential([keras.Input((4,)), discriminator])
    with pytest.raises(ValueError, match="ends in a logit.*as its last activation"):
        gan_of(discriminator=discriminator)


def test_what_follows_a_sigmoid_makes_it_no_end():
    x = keras.Input((4,))
    scaled = 4.0 * keras.ops.sigmoid(layers.Dense(1)(x)) - 2.0
    gan_of(discriminator=keras.Model(x, scaled))


def test_a_tanh_of_keras_ops_has_the_range_of_tanh():
    z = keras.Input((3,))
    generator = keras.Model(z, keras.ops.tanh(layers.Dense(4)(z)))
    _, discriminator = helpers.tiny_networks()
    with pytest.raises(ValueError, match="tanh as its last activation"):
        keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(3), (0.0, 1.0))


def test_a_lambda_layer_is_warned_of_before_the_training():
    generator = keras.Sequential([
        keras.Input((3,)), layers.Dense(4), layers.Lambda(lambda x: 2 * x, name="twice")
    ])  # fmt: skip
    with pytest.warns(UserWarning, match="'twice': what a Lambda layer computes"):
        gan_of(generator)


def test_networks_of_tf_keras_are_named():
    import tf_keras  # TensorFlow Probability needs it

    network = tf_keras.Sequential([tf_keras.layers.Dense(4, input_shape=(3,))])
    with pytest.raises(ValueError, match="which is one of tf_keras; build it with ker"):
        gan_of(network)


# === Optimizers ===


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("frequency", [None, 1])
def test_an_average_that_nothing_would_use_is_refused(player, scaled, frequency):
    """Nor would its last overwriting come, which Keras's `fit` ends with."""
    optimizer = keras.optimizers.Adam(use_ema=True, ema_overwrite_frequency=frequency)
    if scaled:
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    with pytest.raises(ValueError, match=f"the {player}'s optimizer without use_ema"):
        compiled(gan_of(), **{f"{player}_optimizer": optimizer})


# === Callbacks ===


@pytest.mark.parametrize(
    ("callback", "instead"),
    [
        (
            lambda: keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
            "LearningRateScheduler; give each optimizer a schedule",
        ),
        (
            lambda: keras.callbacks.ReduceLROnPlateau(monitor="generator_loss"),
            "ReduceLROnPlateau; give each optimizer a schedule",
        ),
        (lambda: keras.callbacks.SwapEMAWeights(), "SwapEMAWeights; pass ema_decay"),
        (
            lambda: keras.callbacks.TensorBoard("logs", write_steps_per_second=True),
            "TensorBoard; leave write_steps_per_second out",
        ),
    ],
)
@pytest.mark.parametrize("as_list", [False, True])
def test_callbacks_that_need_one_optimizer_are_refused_at_once(
    callback, instead, as_list, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    gan = compiled(gan_of())
    callback = [callback()] if as_list else callback()
    with pytest.raises(ValueError, match=instead):
        gan.fit(helpers.examples(8), verbose=0, callbacks=callback)
    assert gan.generator_steps == 0 and not list(tmp_path.iterdir())


def test_callbacks_that_work_stay(tmp_path):
    gan = compiled(gan_of())
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        gan.fit(
            helpers.examples(8),
            verbose=0,
            callbacks=[
                keras.callbacks.TensorBoard(tmp_path / "logs"),
                keras.callbacks.ModelCheckpoint(tmp_path / "gan.keras"),
                keras.callbacks.EarlyStopping(monitor="generator_loss", mode="min"),
                keras.callbacks.CSVLogger(tmp_path / "log.csv"),
                keras.callbacks.TerminateOnNaN(),
            ],
        )
    assert (tmp_path / "gan.keras").exists() and (tmp_path / "log.csv").exists()


def test_backup_and_restore_points_to_exact_resume(tmp_path):
    gan = compiled(gan_of())
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.warns(
        UserWarning, match="keras_gan.checkpoint.fit resumes to the last"
    ):
        gan.fit(helpers.examples(8), verbose=0, callbacks=backup)


# === Files ===


@pytest.mark.parametrize("name", ["gan.h5", "gan", "gan.weights.h5"])
def test_a_gan_is_saved_as_keras_alone(name, tmp_path):
    with pytest.raises(ValueError, match="Expected a file that ends in .keras"):
        compiled(gan_of()).save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argument", "instead"),
    [
        ("metrics", "score samples by callbacks.Evaluation"),
        ("optimizer", "pass generator_optimizer and discriminator_optimizer"),
        ("loss_weights", "give each penalty its factor"),
        ("los", "see its docstring"),
    ],
)
def test_what_compile_takes_elsewhere_is_said(argument, instead):
    gan = helpers.tiny_gan()
    with pytest.raises(TypeError, match=f"takes no argument '{argument}': {instead}"):
        gan.compile("sgd", "sgd", **{argument: ["x"]})
