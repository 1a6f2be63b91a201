"""From an experiment to its data and its compiled GAN."""

import contextlib
import inspect
import math
import typing

import keras
import tensorflow as tf

from keras_gan import (
    augmentation,
    backend,
    checks,
    datasets,
    evaluation,
    losses,
    networks,
    optimizers,
    penalties,
    priors,
)
from keras_gan.experiments.experiment import Experiment
from keras_gan.experiments.fields import SettingError
from keras_gan.experiments.model_files import load_gan
from keras_gan.experiments.parts import FOLDER_OPTIONS, Data, Prior, Train
from keras_gan.gan import GAN
from keras_gan.inference import BiGAN

# What `build` gives to a builder of networks, so that an experiment does not.
_GIVEN = (
    *("spec", "latent_dim", "num_classes", "seed"),
    *("pixel_means", "pretrained_generator"),
)


def check(experiment: Experiment):
    """Raises unless every component exists and takes the arguments that it is given.

    `build` does this too. Called by itself it finds the mistake before any data are
    loaded.

    Args:
        experiment: `Experiment`.

    Raises:
        ValueError: an unknown component, argument or score to keep the best model by;
            a `SettingError` where it is the value of a setting.
    """
    component = experiment.networks
    checks.one_of("networks.name", component.name, networks.BUILDERS)
    builder = networks.BUILDERS[component.name]
    defaults = {
        name: default
        for name, default in _defaults(builder).items()
        if name not in _GIVEN
    }
    if _takes(builder, "pretrained_generator"):
        defaults["pretrained"] = ""
    _check_arguments("networks", component, defaults, _optional(builder))
    if "pretrained" in defaults and not component.arguments.get("pretrained"):
        raise SettingError(
            ("networks", "pretrained"), "to be the run to continue", None
        )
    if experiment.data.conditional and not _takes(builder, "num_classes"):
        what = f"to be false for {component.name}, which takes no labels"
        raise SettingError(("data", "conditional"), what, True)
    checks.one_of("loss.name", experiment.loss.name, losses.names())
    _check_classifier(experiment)
    for path, component, kind in _classes(experiment):
        defaults, optional = _takes_from_experiments(kind), _optional(kind.__init__)
        _check_arguments(path, component, defaults, optional)
        share = component.arguments.get("final_share", 1.0)
        if "final_share" in defaults and not 0 <= share <= 1:
            what = "to be a number in [0, 1]"
            raise SettingError((path, "final_share"), what, share)
    _augmentation(experiment)  # which has checks of its own
    if experiment.train.keep_best is not None:
        checks.one_of(
            "train.keep_best", experiment.train.keep_best, evaluation.VALIDATION_SCORES
        )


def _check_classifier(experiment):
    """Raises unless D has an auxiliary classifier just where the loss asks for one.

    A builder of the user's may name its argument otherwise: `GAN.compile` checks it.
    """
    setting, loss = "auxiliary_classifier", experiment.loss.name
    is_asked = losses.get(loss).columns > 1
    if not _takes(networks.BUILDERS[experiment.networks.name], setting):
        return
    is_there = experiment.networks.arguments.get(setting, False)
    if is_there != is_asked:
        what = f"to be {str(is_asked).lower()} for loss={loss}"
        raise SettingError(("networks", setting), what, is_there)
    if is_asked and not experiment.data.conditional:
        what = f"to be true for loss={loss}"
        raise SettingError(("data", "conditional"), what, False)


def _classes(experiment):
    """(path, component, class) of the loss, the penalties and the augmentation."""
    loss = experiment.loss
    yield "loss", loss, type(losses.get(loss.name))
    for number, penalty in enumerate(experiment.penalties):
        path = f"penalties.{number}"
        checks.one_of(f"{path}.name", penalty.name, penalties.BY_NAME)
        yield path, penalty, penalties.BY_NAME[penalty.name]
    if (chosen := experiment.augmentation) is not None:
        checks.one_of("augmentation.name", chosen.name, augmentation.BY_NAME)
        yield "augmentation", chosen, augmentation.BY_NAME[chosen.name]


def _augmentation(experiment):
    """What the discriminator's images go through in training, or None."""
    component = experiment.augmentation
    if component is None:
        return None
    return augmentation.BY_NAME[component.name](**component.arguments)


def _takes_from_experiments(kind):
    """The defaults of what an experiment may give to a loss or a penalty."""
    defaults = _defaults(kind)
    # A schedule is an object, which an experiment has no words for but this.
    if defaults.pop("schedule", 0) is None:
        defaults["final_share"] = 1.0
    return defaults


def _check_arguments(path, component, defaults, optional=()):
    """Raises unless a component's arguments are among `defaults`, and of their type.

    Those that are `optional` may be None.
    """
    for name, value in component.arguments.items():
        if name not in defaults:
            takes = ", ".join(defaults) or "none"
            raise ValueError(
                f"Expected arguments of {component.name} among {takes}. Received: "
                f"{path}.{name}={value!r}.{checks.did_you_mean(name, defaults)}"
            )
        default = defaults[name]
        if value is None and name in optional:
            continue
        if isinstance(default, bool):
            expected, fits = "true or false", isinstance(value, bool)
        elif isinstance(default, int):
            expected, fits = "an int", checks.is_int(value)
        elif isinstance(default, float):
            expected, fits = "a number", checks.is_number(value)
        elif isinstance(default, str):
            expected, fits = "text", isinstance(value, str)
        else:
            continue  # nothing is known of its type
        if not fits:
            raise SettingError((path, name), f"to be {expected}", value)


def _defaults(component):
    """The defaults of what a builder, or a class, takes, by name."""
    parameters = inspect.signature(component).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


def _optional(builder):
    """The names of what a function takes None for, as its annotations say."""
    hints = typing.get_type_hints(builder)
    return {n for n, hint in hints.items() if type(None) in typing.get_args(hint)}


def _takes(builder, name):
    return name in inspect.signature(builder).parameters


def prior_of(experiment: Experiment, data: datasets.Dataset) -> priors.LatentPrior:
    """Returns what the generator is given: latents, and labels where it is conditional.

    Raises:
        ValueError: a conditional experiment on data without labels.
    """
    prior = build_prior(experiment.prior)
    if not experiment.data.conditional:
        return prior
    shares = data.class_probabilities(experiment.data.balanced)
    return priors.Labelled(prior, shares, data.class_names)


def build_prior(prior: Prior) -> priors.LatentPrior:
    """Returns the distribution of the latents, of mean 0."""
    if prior.name == "normal":
        return priors.Normal(prior.latent_dim, scale=prior.scale)
    # The uniform distribution on +-sqrt(3) has a standard deviation of 1.
    width = math.sqrt(3) * prior.scale
    return priors.Uniform(prior.latent_dim, -width, width)


# === Data ===


def load_data(data: Data, data_dir=None, split=None, train=None) -> datasets.Dataset:
    """Loads the examples that an experiment names.

    Args:
        data: `Data`.
        data_dir: where `datasets.load` looks.
        split: str, another split than `data.split`.
        train: `datasets.Dataset` whose classes and channels it gets, or None.

    Returns:
        `datasets.Dataset`, in the range that `data` asks for.

    Raises:
        ValueError: see `datasets.load`; no labels where `data` needs them; classes or
            a shape that `train` does not have.
    """
    options = {}
    if data.is_folder:
        options = {name: getattr(data, name) for name in FOLDER_OPTIONS}
    loaded = datasets.load(data.name, split or data.split, data_dir, **options)
    is_training = split in (None, data.split)
    wants_labels = data.conditional or data.balanced
    if is_training and wants_labels and loaded.labels is None:
        setting = "conditional" if data.conditional else "balanced"
        hint = "; put the images of each class into a folder of its own"
        raise ValueError(
            f"Expected data with labels for {setting}=true. Received: {loaded.name!r}, "
            f"split {loaded.split!r}, without any{hint if data.is_folder else ''}"
        )
    if train is not None:
        loaded = loaded.with_classes_of(train).with_channels_of(train)
    if data.contrast_normalization:
        return loaded.contrast_normalized()
    return loaded.to_range(data.value_range) if data.value_range else loaded


def load_held_out(data: Data, train: datasets.Dataset, data_dir=None):
    """Loads the examples that validate, and those that test.

    Where there is a test split alone, its even rows validate and its odd rows test.
    Images that were held out of a folder all test. Classes, channels and fold are those
    of the training examples.

    Args:
        data: `Data`.
        train: `datasets.Dataset`, the training examples.
        data_dir: where `datasets.load` looks.

    Returns:
        (valid, test), `datasets.Dataset`s; None each where the dataset has no such
        split, or was trained on it.

    Raises:
        ValueError: a split that is there and cannot be read, see `load_data`.
    """
    trained, slash, fold = data.split.lower().partition("/")
    if data.is_folder and trained != "train":  # nothing was held out of other splits
        data = data.model_copy(update={"held_out": 0.0})

    def first(*splits):
        for split in splits:
            with contextlib.suppress(datasets.SplitError):
                if split != trained:
                    return load_data(data, data_dir, split + slash + fold, train)
        return None

    test = first("test")
    valid = first(*datasets.folder.VALIDATION_SPLITS)
    is_held_out = test is not None and test.split == datasets.folder.HELD_OUT
    if valid is None and test is not None and not is_held_out:
        valid = test.subset(slice(0, None, 2), "test[0::2]")
        test = test.subset(slice(1, None, 2), "test[1::2]")
    return valid, test


# === The GAN ===


def build(experiment: Experiment, data: datasets.Dataset) -> GAN:
    """Builds the compiled `GAN` of an experiment, as it is before its first step.

    Args:
        experiment: `Experiment`.
        data: `datasets.Dataset`; its sample shape, pixel means and length enter.

    Returns:
        `GAN`.

    Raises:
        ValueError: see `check`; networks that cannot make samples like the data's.
        SettingError: a reconstruction weight for networks without an encoder.
    """
    check(experiment)
    built = _networks(experiment, data)
    # A third network is an encoder, which learns in the same game.
    kind = BiGAN if len(built) == 3 else GAN
    if kind is BiGAN and data.spec.num_values == 1:
        raise ValueError(
            "Expected samples of several values for networks with an encoder. "
            f"Received: {data.name!r}, of one; choose networks of two"
        )
    train = experiment.train
    gan = kind(
        *built,
        latent_prior=prior_of(experiment, data),
        value_range=data.value_range,
        seed=train.seed,
    )
    k = train.discriminator_steps
    steps_per_epoch = data.steps_per_epoch(k * train.batch_size)
    # The encoder has the generator's settings: both fool the discriminator.
    settings = (("generator", 1), ("discriminator", k), ("generator", 1))
    chosen = [
        _optimizer(experiment, player, steps_per_epoch, updates)
        for player, updates in settings[: len(built)]
    ]
    options = {}
    if kind is BiGAN:
        options["reconstruction"] = train.reconstruction
    elif train.reconstruction:
        what = f"to be 0 for {experiment.networks.name}, which has no encoder"
        path = ("train", "reconstruction")
        raise SettingError(path, what, train.reconstruction)
    gan.compile(
        *chosen,
        **options,
        loss=losses.BY_NAME[experiment.loss.name](**experiment.loss.arguments),
        discriminator_steps=k,
        ema_decay=ema_decay(train),
        ema_ramp=train.ema_ramp,
        jit_compile=experiment.runtime.jit_compile,
        augmentation=_augmentation(experiment),
        penalties=_penalties(experiment, steps_per_epoch),
    )
    return gan


def ema_decay(train: Train) -> float | None:
    """Returns the decay of the generator's average for each of its steps, or None."""
    if train.ema_half_life is None:
        return train.ema_decay
    images_per_step = train.discriminator_steps * train.batch_size
    return 0.5 ** (images_per_step / train.ema_half_life)


def _penalties(experiment, steps_per_epoch):
    """The penalties, of which each may fall to its `final_share` over all epochs."""
    updates = experiment.train.epochs * steps_per_epoch
    updates *= experiment.train.discriminator_steps
    made = []
    for component in experiment.penalties:
        arguments = component.arguments
        share = arguments.pop("final_share", None)
        if share is not None:
            arguments["schedule"] = keras.optimizers.schedules.CosineDecay(
                1.0, updates, alpha=share
            )
        made.append(penalties.BY_NAME[component.name](**arguments))
    return made


def _networks(experiment, data):
    """The networks that the builder returns, in the dtype policy of the experiment."""
    builder = networks.BUILDERS[experiment.networks.name]
    arguments = experiment.networks.arguments
    given = {
        "latent_dim": experiment.prior.latent_dim,
        "seed": experiment.train.seed,
    }
    if experiment.data.conditional:
        given["num_classes"] = data.num_classes
    if _takes(builder, "pixel_means"):
        given["pixel_means"] = data.pixel_means()
    if _takes(builder, "pretrained_generator"):
        pretrained = load_gan(arguments.pop("pretrained"), compile=False)
        # The average is the generator that the pretrained run was scored by.
        given["pretrained_generator"] = (
            pretrained.averaged_generator or pretrained.generator
        )
    with backend.dtype_policy(dtype_policy(experiment.runtime.mixed_precision)):
        return builder(data.spec, **given, **arguments)


def dtype_policy(mixed_precision) -> str:
    """Returns the name of the Keras dtype policy that the networks get.

    "auto" is float32 without a GPU. On GPUs it is what all of them multiply fast:
    mixed_bfloat16 from compute capability 8.0 on (it has float32's range, and needs no
    loss scale), mixed_float16 from 7.0 on, else float32.
    """
    if mixed_precision != "auto":
        return mixed_precision
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    # TensorFlow knows the capability of NVIDIA's GPUs alone.
    lowest = min((found or (0, 0) for found in capabilities), default=(0, 0))
    if lowest >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if lowest >= (7, 0) else "float32"


def _optimizer(experiment, player, steps_per_epoch, updates):
    """Returns a network's optimizer.

    Args:
        experiment: `Experiment`, whose schedules count generator steps and images.
        player: "generator" or "discriminator".
        steps_per_epoch: int, generator steps in an epoch.
        updates: int, how many updates it makes in each generator step.
    """
    settings, train = getattr(experiment, player), experiment.train
    updates_per_epoch = steps_per_epoch * updates
    images_per_update = train.discriminator_steps * train.batch_size / updates
    rate = settings.learning_rate
    if settings.learning_rate_divisor > 1:
        rate = optimizers.InverseExponentialDecay(
            rate,
            divisor=settings.learning_rate_divisor ** (1 / updates),
            minimum=settings.min_learning_rate,
        )
    if settings.decay:
        steps = train.epochs * updates_per_epoch
        if settings.decay_images is not None:
            steps = max(1, round(settings.decay_images / images_per_update))
        rate = optimizers.fall(settings.decay, rate, settings.final_share, steps)
    if settings.warmup_images:
        steps = max(1, round(settings.warmup_images / images_per_update))
        rate = optimizers.WarmUp(rate, steps)
    if settings.optimizer == "adam":
        return optimizers.Adam(rate, beta_1=settings.beta_1, beta_2=settings.beta_2)
    momentum = optimizers.LinearRamp(
        settings.initial_momentum,
        settings.final_momentum,
        start_step=settings.momentum_start_epoch * updates_per_epoch,
        final_step=settings.momentum_final_epoch * updates_per_epoch,
    )
    return optimizers.ScheduledSGD(rate, momentum)
