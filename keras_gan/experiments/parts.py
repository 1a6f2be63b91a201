"""The parts of an experiment that are settings alone: limits stand at each field.

This module imports neither TensorFlow nor Keras.
"""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from keras_gan.experiments.fields import Part, SettingError

# No larger size fits a machine, and some do not fit an int64.
_LARGEST_SIZE = MOST_EPOCHS = 10**7
Size = Annotated[int, Field(ge=1, le=_LARGEST_SIZE)]
Images = Annotated[int, Field(ge=0, le=10**12)]
# JSON has no tuples: a list is read as one.
Range = Annotated[tuple[float, float], Field(strict=False)]
# Fields of `Data` that folders of images alone have a use for.
FOLDER_OPTIONS = ("background", "skip_broken", "held_out", "bits")


class Data(Part):
    """The examples that both networks are trained on."""

    name: str = Field(description="A dataset's name, or folder:PATH[@SIZE].")
    split: str = Field("train", description="The split of the dataset to train on.")
    contrast_normalization: bool = Field(
        False, description="Normalise the contrast of each image globally."
    )
    value_range: Range | None = Field(
        None, description="The range to map images to; none keeps the dataset's own."
    )
    background: str | None = Field(
        "white",
        description="The colour that transparent pixels of a folder's images are laid "
        "on; none keeps the transparency as a fourth channel.",
    )
    skip_broken: bool = Field(
        False,
        description="Leave out a folder's files that cannot be read, with a warning.",
    )
    held_out: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="The share of a folder's images that is held out of the training, "
        "to score by, where the folder has no subfolder test.",
    )
    bits: int | None = Field(
        None,
        ge=8,
        le=16,
        description="The bits that a folder's files of 16 bits use; none takes the "
        "fewest that hold their largest value.",
    )

    conditional: bool = Field(
        False,
        description="Train p(x | label): the labels of the data are given to both "
        "networks, and samples can be asked for by class.",
    )
    balanced: bool = Field(
        False,
        description="Take each class as often as any other, also in what the generator "
        "is asked for in training.",
    )

    @property
    def is_folder(self) -> bool:
        """Whether the data are a folder of images, whose name is its path."""
        return self.name.startswith("folder:")

    @pydantic.field_validator("value_range")
    @classmethod
    def _is_range(cls, value):
        if value is not None and not value[0] < value[1]:
            raise SettingError((), "to be (low, high) with low < high", value)
        return value

    @pydantic.model_validator(mode="after")
    def _has_options_of_its_kind(self):
        for name in () if self.is_folder else FOLDER_OPTIONS:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                raise SettingError(
                    (name,), f"for a folder of images alone, not {self.name}", value
                )
        return self

    @pydantic.model_validator(mode="after")
    def _has_one_range(self):
        if self.contrast_normalization and self.value_range:
            raise SettingError(
                ("value_range",),
                "to be none where contrast_normalization decides the range",
                self.value_range,
            )
        return self


class Prior(Part):
    """The distribution of the latents, of mean 0."""

    name: Literal["uniform", "normal"] = Field(
        "uniform", description="The distribution that latents are drawn from."
    )
    latent_dim: Size = Field(100, description="L, the dimensions of the latents.")
    # Far beyond what is of use; further out float32 ends.
    scale: float = Field(
        1.0,
        ge=1e-6,
        le=1e6,
        description="The standard deviation of each latent; at 1, the uniform prior "
        "is that on +-sqrt(3).",
    )


class Optimizer(Part):
    """One network's optimizer.

    Schedules count generator steps, or the images that both networks have seen by them:
    `discriminator_steps * batch_size` a generator step.
    """

    optimizer: Literal["sgd", "adam"] = Field(
        "sgd", description="SGD with a momentum that rises, or Adam."
    )
    learning_rate: float = Field(gt=0, description="The learning rate at the start.")
    learning_rate_divisor: float = Field(
        1.0, ge=1, description="Divides the learning rate after each generator step."
    )
    min_learning_rate: float = Field(
        0.0, ge=0, description="Where learning_rate_divisor no longer divides."
    )
    decay: Literal["cosine", "exponential"] | None = Field(
        None,
        description="How the learning rate falls to final_share; none keeps it, but "
        "for learning_rate_divisor.",
    )
    final_share: float = Field(
        0.05,
        gt=0,
        le=1,
        description="The learning rate where a decay ends, as a share of the first.",
    )
    decay_images: Images | None = Field(
        None, description="The images after which a decay ends; none is all epochs."
    )
    warmup_images: Images = Field(
        0, description="The images over which the learning rate rises from 0."
    )
    beta_1: float = Field(
        0.5, ge=0, lt=1, description="Decay of Adam's first moment; SGD ignores it."
    )
    beta_2: float = Field(
        0.999, ge=0, lt=1, description="Decay of Adam's second moment."
    )
    initial_momentum: float = Field(
        0.5, ge=0, lt=1, description="SGD's momentum up to momentum_start_epoch."
    )
    final_momentum: float = Field(
        0.7, ge=0, lt=1, description="SGD's momentum from momentum_final_epoch on."
    )
    momentum_start_epoch: int = Field(
        1, ge=0, description="The epoch from which SGD's momentum changes linearly."
    )
    momentum_final_epoch: int = Field(
        250, ge=1, description="The epoch at which SGD's momentum is final."
    )

    @pydantic.model_validator(mode="after")
    def _momentum_has_time_to_change(self):
        if not self.momentum_start_epoch < self.momentum_final_epoch:
            raise SettingError(
                ("momentum_start_epoch",),
                f"to be below momentum_final_epoch={self.momentum_final_epoch}",
                self.momentum_start_epoch,
            )
        return self

    @pydantic.model_validator(mode="after")
    def _falls_in_one_way(self):
        if self.decay and self.learning_rate_divisor != 1:
            raise SettingError(
                ("decay",),
                f"to be none where learning_rate_divisor={self.learning_rate_divisor}",
                self.decay,
            )
        return self

    @property
    def lasts_all_epochs(self) -> bool:
        """Whether the learning rate of a step depends on the number of epochs."""
        return self.decay is not None and self.decay_images is None


class Train(Part):
    """Algorithm 1's sizes, what a run starts from, and what it keeps."""

    epochs: Size = Field(description="Passes over the data.")
    batch_size: Size = Field(100, description="m, the examples in a minibatch.")
    discriminator_steps: Size = Field(
        1, description="k, the discriminator steps for each generator step."
    )
    reconstruction: float = Field(
        0.0,
        ge=0,
        le=1e12,
        description="Weight of the mean of (x - G(E(x)))^2 in the losses of G and E, "
        "where the networks have an encoder E.",
    )
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of the average of the generator's weights; none keeps no "
        "average.",
    )
    ema_half_life: float | None = Field(
        None,
        gt=0,
        le=1e12,
        description="The average's decay by the images after which a weight counts "
        "half, in the place of ema_decay.",
    )
    ema_ramp: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Keeps the average's half-life to this share of the images seen.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**32,
        description="Seed of the initial weights, the order of the data, the latents "
        "and dropout.",
    )
    init_from: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="A run, or a .keras file, whose networks the training starts from, "
        "as far as they fit; none starts from those of the seed.",
    )
    sample_epochs: Size = Field(1, description="Epochs between pictures of samples.")
    evaluation_epochs: Size | None = Field(
        None, description="Epochs between evaluations; none evaluates nothing."
    )
    keep_best: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="The evaluations' score by which the best model is kept."
    )

    @pydantic.model_validator(mode="after")
    def _has_one_average(self):
        if self.ema_decay is not None and self.ema_half_life is not None:
            raise SettingError(
                ("ema_decay",), "to be none where ema_half_life is set", self.ema_decay
            )
        # With less than a thousandth of a step's, floats end: the decay would be 0.
        least = self.discriminator_steps * self.batch_size / 1000
        if self.ema_half_life is not None and self.ema_half_life < least:
            what = f"to be a number of at least {least:g} images"
            raise SettingError(("ema_half_life",), what, self.ema_half_life)
        is_averaged = self.ema_decay is not None or self.ema_half_life is not None
        if self.ema_ramp is not None and not is_averaged:
            raise SettingError(
                ("ema_ramp",), "to be none where no average is kept", self.ema_ramp
            )
        return self

    @pydantic.model_validator(mode="after")
    def _best_is_evaluated(self):
        if self.keep_best is not None and self.evaluation_epochs is None:
            raise SettingError(
                ("evaluation_epochs",),
                f"to be an int, so that the best model by {self.keep_best} is found",
                None,
            )
        return self


class Runtime(Part):
    """How the training is executed.

    A resumed run may change these settings where the execution stays the same: another
    dtype policy, XLA or number of replicas is refused.
    """

    mixed_precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = (
        Field(
            "auto",
            description="The networks' dtype policy; auto is float32 without a GPU and "
            "16 bits on a recent one.",
        )
    )
    jit_compile: bool | Literal["auto"] = Field(
        "auto", description="Compile with XLA; auto does so on one GPU."
    )
    distribute: Literal["mirrored", "multi_worker"] | None = Field(
        None,
        description="Train on all devices of this machine, or of all workers that "
        "TF_CONFIG names; none trains on one.",
    )
    steps_per_execution: Size | None = Field(
        None,
        description="Training steps compiled into one call; none chooses "
        "automatically.",
    )
