"""The weights file of the FID's network: where it is from, and what is in it."""

import hashlib
import http.client
import os
import pathlib
import re
import shutil
import urllib.request

import numpy as np
import safetensors
import safetensors.numpy

from keras_gan import checks, files
from keras_gan.metrics.features import torch_files

# The release of pytorch-fid. torch-fidelity releases the same file, byte for byte, as
# weights-inception-2015-12-05-6726825d.pth.
FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


def fetched(cache_dir) -> pathlib.Path:
    """Returns the path of the released file, which is fetched once.

    Args:
        cache_dir: str or path-like, the folder to keep it in.

    Raises:
        ValueError: no network, a folder that cannot be written, or another file than
            was released.
    """
    path = pathlib.Path(os.path.expanduser(cache_dir), FILE)
    if path.exists():
        return path
    try:
        with files.replacing(path) as temporary:
            with urllib.request.urlopen(URL, timeout=30) as response:
                with open(temporary, "wb") as file:
                    shutil.copyfileobj(response, file)
            digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
            if digest != SHA256:
                raise OSError(f"a file of another sha256, {digest[:8]}...")
    except (OSError, http.client.HTTPException) as error:
        reason = checks.one_line(getattr(error, "reason", None) or error)
        raise ValueError(
            f"Expected a network, to fetch the FID's weights once. Received: {reason}; "
            f"fetch {URL} where there is one, and pass features='fid:PATH'"
        ) from error
    return path


def read(path) -> tuple[dict[str, np.ndarray], str]:
    """Returns the weights in a file, and the file's digest.

    Args:
        path: str or path-like, of `FILE` or of a `.safetensors` with the same names.

    Returns:
        (dict of names to arrays, the sha256 of the file in hexadecimal digits).

    Raises:
        ValueError: no such file, one that cannot be read, or one whose sha256 is
            another than its name says: `NAME-6726825d.pth` begins with 6726825d.
    """
    path = pathlib.Path(os.path.expanduser(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise refused(path, checks.one_line(error)) from error
    digest = hashlib.sha256(content).hexdigest()
    named = re.search(r"-([0-9a-f]{8,64})\.", path.name)
    if named and not digest.startswith(named[1]):
        raise refused(path, f"a damaged file, of the sha256 {digest[:8]}...")
    try:
        # The header of a .safetensors begins after its length, eight bytes.
        if content[8:9] == b"{":
            try:
                return safetensors.numpy.load(content), digest
            except KeyError as error:
                dtype = error.args[0]
                raise refused(
                    path, f"tensors of the type {dtype}, which NumPy lacks"
                ) from error
        return torch_files.read(content), digest
    except (safetensors.SafetensorError, torch_files.NotAStateDict) as error:
        raise refused(path, checks.one_line(error)) from error


def refused(path, received: str) -> ValueError:
    """Returns the error of a weights file that cannot be used."""
    return ValueError(
        f"Expected the weights of the FID's Inception network in {path}. Received: "
        f"{received}; fetch {URL}"
    )
