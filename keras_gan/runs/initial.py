"""The networks that a run starts from, where these are another run's."""

import dataclasses
import hashlib
import logging
import pathlib

from keras_gan import keras_private
from keras_gan.experiments.fields import SettingError
from keras_gan.experiments.model_files import MODEL, load_gan, model_file
from keras_gan.gan import GAN
from keras_gan.networks.transfer import Transfer

_log = logging.getLogger("keras_gan")
_SETTING = ("train", "init_from")


@dataclasses.dataclass(frozen=True)
class Source:
    """What a run starts from.

    Attributes:
        path: str, of another run or of a `.keras` file.
        gan: `GAN`, as it was saved there.
        sha256: str, of the file.
    """

    path: str
    gan: GAN
    sha256: str


def load(experiment, place=None) -> Source | None:
    """Loads what `train.init_from` names; None where it names nothing.

    Args:
        experiment: `Experiment`.
        place: `pathlib.Path` of the run that starts, or None.

    Raises:
        ValueError: there is no model, none that can be read, or it is that of the run
            that starts, which would remove it before it has one of its own.
    """
    path = experiment.train.init_from
    if path is None:
        return None
    try:
        file = model_file(path)
    except ValueError as error:
        what = f"to be a run's directory with a {MODEL}, or a .keras file"
        raise SettingError(_SETTING, what, path) from error
    if place is not None and file.resolve().parent == pathlib.Path(place).resolve():
        raise SettingError(_SETTING, "to be another run", path)
    # The networks that are built next have the names that they have without it.
    with keras_private.numbers_of_names_kept():
        gan = load_gan(file, compile=False)
    return Source(path, gan, hashlib.sha256(file.read_bytes()).hexdigest())


def take(gan, source: Source) -> dict:
    """Gives a GAN what fits its networks, see `Transfer`, and logs what that is.

    The generator, and the encoder where both have one, are the averaged ones where
    `source` keeps an average: that is what it generates. The averages of `gan` begin
    there too. Optimizers, counters and seeds stay as they are: the training is a new
    one.

    Args:
        gan: compiled `GAN` that has made no step.
        source: `Source`.

    Returns:
        dict, what a run records of it: `sha256`, and `taken`, list of str.

    Raises:
        ValueError: no layer fits; nothing is changed.
    """
    classes = _classes(gan.latent_prior), _classes(source.gan.latent_prior)
    ours, theirs = gan.networks, source.gan.networks
    transfers = {}
    for name in dict.fromkeys(("generator", *ours)):
        if name not in theirs:
            continue
        average = source.gan.averages.get(name)
        other = theirs[name] if average is None else average.average
        said = name if average is None else f"averaged {name}"
        transfers[said] = Transfer(ours[name], other, *classes)
    if not any(transfer.fits for transfer in transfers.values()):
        what = "to be a run whose networks have a layer that fits those of this one"
        raise SettingError(_SETTING, what, source.path)
    taken = [transfer.take(name) for name, transfer in transfers.items()]
    for line in taken:
        _log.info("Starting from %s: took %s.", source.path, line)
    for average in gan.averages.values():
        if average is not None:
            average.average.set_weights(average.network.get_weights())
    return {"sha256": source.sha256, "taken": taken}


def _classes(prior):
    """The names of a prior's classes: numbers where they have none. None without."""
    if prior.num_classes is None:
        return None
    return prior.class_names or [str(label) for label in range(prior.num_classes)]
