"""Image datasets by their TensorFlow Datasets name."""

import contextlib
import json
import logging
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan.datasets import cache
from keras_gan.datasets.base import Dataset, DatasetError, SplitError
from keras_gan.datasets.resizing import fit, split_size

# The paper's splits; what is not listed goes to TFDS as it is.
SPLITS = {
    "mnist": {"train": "train[:50000]", "valid": "train[50000:]"},
    "cifar10": {"train": "train[:40000]", "valid": "train[40000:]"},
}
_NETWORK_TIMEOUT_SECONDS = 10
# PNG files, which TFDS keeps uint8 images in, have no others.
_CHANNELS = (1, 2, 3, 4)


def load(name, split, data_dir=None):
    """Loads an image dataset of TFDS, downloaded and prepared on first use.

    Args:
        name: a TFDS name ("mnist", "emnist/letters", "celeb_a"), or one with a size:
            "name@64" (64x64), "name@48x64" (48 high, 64 wide): crop the centre to that
            aspect ratio, then resize.
        split: for "mnist" and "cifar10", as in the paper, "train" is the first 50,000
            or 40,000 examples of TFDS's train split, "valid" its last 10,000; these are
            slices in TFDS's own fixed order, which is not that of the original files.
            Everything else ("test", "train[:1000]", "train+test") is a TFDS split.
        data_dir: TFDS's data_dir; None is TFDS's default.

    Returns:
        Dataset of uint8 (H, W, C) in (0, 1), C from 1 to 4, in TFDS's order. Labels if
        TFDS has integer classes for supervised learning.

    Raises:
        SplitError: no such split.
        DatasetError: no such dataset; no images, or of different sizes without a size
            to bring them to; nothing cached and no network.
        ModuleNotFoundError: TFDS is not installed.
    """
    _tfds()
    tfds_name, size = split_size(name)
    builder = _builder(tfds_name, data_dir)
    image_key, label_key = _feature_keys(builder, name)
    features = builder.info.features
    declared = features[image_key].shape
    if size is None and None in declared:
        raise DatasetError(
            f"Expected images of one size. Received: {name!r}, whose images differ in "
            f"size ({declared}); add a size to crop and resize, for example {name}@64"
        )
    _prepare(builder, name)
    tfds_split = SPLITS.get(tfds_name, {}).get(split, split)
    num_examples = _num_examples(builder, tfds_split, name, split)
    shape = (num_examples, *(size or declared[:2]), declared[2])

    def fill(images):
        from PIL import Image

        wanted = [image_key, label_key] if label_key else [image_key]
        # Images of different sizes make no batch.
        batch_size = 1 if None in declared else 256
        row, labels = 0, []
        for batch in _batches(builder, tfds_split, wanted, batch_size):
            for image in batch[image_key]:
                if size is not None:
                    pixels = image[..., 0] if image.shape[-1] == 1 else image
                    image = fit(Image.fromarray(pixels), size)
                images[row] = image
                row += 1
            if label_key:
                labels.extend(batch[label_key].tolist())
        if row != num_examples:
            raise _damaged(builder, f"{row:,} of {num_examples:,} examples")
        return labels if label_key else None

    images, labels = _materialize(builder, tfds_split, size, shape, fill, data_dir)
    return Dataset(
        images,
        labels,
        name=name,
        split=split,
        num_classes=features[label_key].num_classes if label_key else None,
        class_names=features[label_key].names if label_key else None,
    )


def _batches(builder, split, keys, batch_size):
    """Yields batches of arrays, and refuses records that are damaged."""
    config = _tfds().ReadConfig(try_autocache=False)
    try:
        examples = builder.as_dataset(
            split=split, read_config=config, decoders=_decoders(builder, keys)
        )
        examples = examples.map(lambda example: {key: example[key] for key in keys})
        yield from examples.batch(batch_size).as_numpy_iterator()
    # TensorFlow raises for the records, TFDS's readers in many ways for the rest.
    except Exception as error:
        message = getattr(error, "message", None) or error
        raise _damaged(builder, checks.one_line(message)) from error


def _decoders(builder, keys):
    """Returns {key: decoder} of what TFDS encodes, but does not decode."""
    tfds = _tfds()

    @tfds.decode.make_decoder()
    def decode(content, feature):
        # As many as the file has: TensorFlow refuses to be told that they are two.
        image = tf.io.decode_png(content, channels=0)
        image.set_shape(feature.shape)
        return image

    features = builder.info.features
    images = [key for key in keys if isinstance(features[key], tfds.features.Image)]
    return {key: decode() for key in images if features[key].shape[2] == 2} or None


def _damaged(builder, received):
    return DatasetError(
        f"Expected records that can be read in {builder.data_dir}. Received: "
        f"{received}; remove that folder, and TFDS prepares the dataset anew"
    )


class NotFoundError(LookupError):
    """TFDS knows no dataset by that name; it knows `names`."""

    def __init__(self, names):
        super().__init__("not a TFDS name")
        self.names = names


def _tfds():
    return checks.require("tensorflow_datasets", extra="datasets")


def _builder(name, data_dir):
    tfds = _tfds()
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.registered.DatasetNotFoundError:
        names = tfds.list_builders(with_community_datasets=False)
        raise NotFoundError(names) from None
    # Versions and configurations that do not exist, packages that it would need, ...
    except Exception as error:
        raise DatasetError(
            f"Expected a dataset that TFDS can build. Received: {name!r}, of which "
            f"TFDS says: {checks.one_line(error)}"
        ) from error


def _feature_keys(builder, name):
    """Returns the names of the image and of the label (None if there is none)."""
    tfds = _tfds()
    features = builder.info.features
    if not isinstance(features, tfds.features.FeaturesDict):
        features = {}
    image_key, label_key, *_ = (*(builder.info.supervised_keys or ()), None, None)
    if not isinstance(image_key, str) or image_key not in features:
        image_key = "image"
    image = features[image_key] if image_key in features else None
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise DatasetError(
            "Expected a dataset of uint8 images, with a feature 'image' or one that "
            f"supervised learning starts from. Received: {name!r} with the features "
            f"{', '.join(features) or type(builder.info.features).__name__}"
        )
    if image.shape[2] not in _CHANNELS:
        raise DatasetError(
            f"Expected images of 1 to 4 channels, which can be resized. Received: "
            f"{name!r} with images of shape {image.shape}"
        )
    label = features[label_key] if isinstance(label_key, str) else None
    is_class = isinstance(label, tfds.features.ClassLabel)
    return image_key, label_key if is_class else None


def _prepare(builder, name):
    with _without_warnings():
        if builder.is_prepared():
            return
    missing = _missing_files(builder)
    if missing and not _answers(next(iter(missing))):
        raise DatasetError(
            f"Expected {name!r} in {builder.data_dir_root}, or a network to download "
            "it from. Received: neither; pass a data_dir that holds the dataset as "
            "TFDS prepares it, or has the original files "
            f"({', '.join(list(missing.values())[:4])}) in downloads/manual/; or use "
            "the dataset 'digits', which needs no file"
        )
    try:
        builder.download_and_prepare()
    # Whatever the dataset's own script raises.
    except Exception as error:
        raise DatasetError(
            f"Expected TFDS to prepare {name!r} in {builder.data_dir_root}. Received: "
            f"{type(error).__name__}: {checks.one_line(error)}"
        ) from error


def _missing_files(builder):
    """Returns {URL: file name} of the original files that TFDS would download."""
    downloads = Path(builder.data_dir_root, "downloads")
    cached = set()
    for info in downloads.rglob("*.INFO"):
        with contextlib.suppress(OSError, ValueError):
            cached.update(json.loads(info.read_text()).get("urls", ()))
    infos = builder.url_infos or {}
    wanted = {url: info.filename or url for url, info in infos.items()}
    missing = {
        url: file
        for url, file in wanted.items()
        if url not in cached and not (downloads / "manual" / file).exists()
    }
    # A configuration may need only some of the files that its dataset lists.
    if builder.builder_config is not None and len(missing) < len(wanted):
        return {}
    return missing


def _answers(url):
    """Returns whether the host of `url` answers: TFDS itself tries for minutes."""
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=_NETWORK_TIMEOUT_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _num_examples(builder, tfds_split, name, split):
    if not builder.info.splits:  # not a split that is missing: all are
        raise _damaged(builder, "no splits in its dataset_info.json")
    try:
        num_examples = builder.info.splits[tfds_split].num_examples
    # KeyError, ValueError, AssertionError, by what is wrong with the split.
    except Exception as error:
        splits = [*SPLITS.get(builder.name, ()), *builder.info.splits]
        raise SplitError(
            f"Expected a split of {name!r} ({', '.join(dict.fromkeys(splits))}) or a "
            f"slice of one, like 'train[:1000]'. Received: {split!r}."
            f"{checks.did_you_mean(split, splits)}"
        ) from error
    if num_examples == 0:
        raise SplitError(f"Expected examples in {name!r}. Received: none in {split!r}")
    return num_examples


def _materialize(builder, tfds_split, size, shape, fill, data_dir):
    if cache.fits_memory(shape):
        images = np.empty(shape, np.uint8)
        return images, fill(images)
    source = f"{builder.info.full_name} {tfds_split}"
    key = cache.key("tfds", source, size, shape)
    found = cache.read(key, data_dir)
    return found or cache.write(key, data_dir, source, shape, fill)


@contextlib.contextmanager
def _without_warnings():
    """Silences TFDS, which warns of every dataset that it has not prepared yet."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
