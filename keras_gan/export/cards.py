"""The card of an exported version: what it is, and what its files must be."""

import hashlib
import json
import pathlib
import typing

from keras_gan import checks

if typing.TYPE_CHECKING:
    from keras_gan.samples import SampleSpec

CARD = "assets.extra/gan_card.json"
# What loading and verifying a version needs of its card.
_NEEDED = (
    "signatures", "output", "latent_dim", "latent_prior", "sample_shape", "tolerance",
    "goldens", "files",
)  # fmt: skip


def read_card(path) -> dict:
    """Returns the content of a version's `gan_card.json`.

    Args:
        path: str or path-like, the version's directory.

    Raises:
        ValueError: the card is missing or damaged.
    """
    file = pathlib.Path(path) / CARD
    try:
        card = json.loads(file.read_text())
        missing = [name for name in _NEEDED if not card.get(name)]
        if missing:
            raise ValueError(f"without {', '.join(missing)}")
        return card
    except (
        OSError, ValueError, TypeError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise ValueError(
            f"Expected a version that keras_gan exported, with a card {CARD}. "
            f"Received: {path} ({checks.one_line(error)})"
        ) from error


def read_spec(card: dict) -> "SampleSpec":
    """Returns what one sample is, by the card of a version.

    Older cards have no `spec`; it follows from their shape and range.

    Raises:
        ValueError, TypeError: a damaged card.
    """
    # Here, because it imports TensorFlow, which a server of the C API does without.
    from keras_gan.samples import SampleSpec

    if "spec" in card:
        return SampleSpec(**card["spec"])
    return SampleSpec.of_generated(card["sample_shape"], card["value_range"])


def write_card(path, card: dict) -> None:
    """Writes the card of the version in the folder `path`, and its seal."""
    (pathlib.Path(path) / CARD).write_bytes(sealed(card))


def sealed(card: dict) -> bytes:
    """Returns a card's bytes, whose last entry is the digest of all others."""
    content = json.dumps(card, indent=2)
    seal = hashlib.sha256(content.encode()).hexdigest()
    return (json.dumps({**card, "seal": seal}, indent=2) + "\n").encode()


def is_sealed(path) -> bool:
    """Returns whether a version's card is, to the byte, what the exporter wrote."""
    content = (pathlib.Path(path) / CARD).read_bytes()
    card = json.loads(content)
    card.pop("seal", None)
    return content == sealed(card)


def digests(path) -> dict[str, str]:
    """Returns the SHA-256 of every file of a version but its card, by relative name."""
    path = pathlib.Path(path)
    result = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name != CARD:
            digest = hashlib.sha256()
            with open(file, "rb") as content:
                while block := content.read(1 << 20):
                    digest.update(block)
            result[name] = digest.hexdigest()
    return result


def as_json(card) -> dict:
    """Returns a card as a file would give it back: NaN, which JSON lacks, is None.

    Raises:
        ValueError: something in it that JSON cannot hold.
    """
    try:
        return json.loads(json.dumps(dict(card)), parse_constant=lambda name: None)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected a card that JSON can hold. Received: {card!r} ({error})"
        ) from error


def file_faults(path) -> list[str]:
    """Lists every file of a version that is not as its card states."""
    card = read_card(path)
    found, stated = digests(path), card["files"]
    return (
        ([] if is_sealed(path) else [f"{CARD} was altered"])
        + [f"{name} is missing" for name in sorted(set(stated) - set(found))]
        + [f"{name} is not on the card" for name in sorted(set(found) - set(stated))]
        + [
            f"{name} is not as it was exported"
            for name in sorted(set(found) & set(stated))
            if found[name] != stated[name]
        ]
    )
