"""Arrays of an `.npz`, of which no more is unpacked than is asked for."""

import io
import math
import zipfile

import numpy as np

# Pieces in which a member is unpacked.
_PIECE = 2**20
# NumPy's own limit for headers.
_MOST_HEADER_BYTES = 10_000
# By the format's version: the bytes in which a header's size is stated, and what reads
# these and the header.
_READERS = {
    (1, 0): (2, np.lib.format.read_array_header_1_0),
    (2, 0): (4, np.lib.format.read_array_header_2_0),
}


class Member:
    """An array of an `.npz`, known by its header; `read` unpacks its values.

    `numpy.load` unpacks as many bytes as the header states: a file of some hundred kB
    may state gigabytes of zeros.

    Args:
        archive: `zipfile.ZipFile`, open as long as this is used.
        name: str, the array's.

    Attributes:
        shape: tuple of int; dtype: `numpy.dtype`.

    Raises:
        KeyError: no array by that name.
        ValueError: no header that NumPy can read, or one of Python objects.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str):
        file = f"{name}.npy"
        if file not in archive.namelist():
            raise KeyError(f"{name} is not a file in the archive")
        self.name = name
        self._archive, self._file = archive, file
        with archive.open(file) as stream:
            self.shape, self._is_fortran, self.dtype = _header(stream)
        if self.dtype.hasobject:
            raise ValueError("Object arrays cannot be loaded: they may run code")

    def read(self, num_rows: int | None = None, most_bytes: float = math.inf):
        """Returns the array, or its first rows.

        Args:
            num_rows: int, rows that are needed at most; None reads all.
            most_bytes: the largest size that may be unpacked. Arrays in Fortran's
                order, whose rows lie apart, are unpacked as a whole for any rows.

        Raises:
            ValueError: more bytes than that, before any is unpacked; fewer bytes than
                the header states.
        """
        shape = self.shape
        if num_rows is not None and shape and not self._is_fortran:
            shape = (min(num_rows, shape[0]), *shape[1:])
        size = math.prod(shape) * self.dtype.itemsize
        if size > most_bytes:
            raise ValueError(
                f"{self.name} of shape {shape} takes {size:,} bytes, and no more than "
                f"{most_bytes:,} are unpacked"
            )
        content = np.empty(size, np.uint8)
        with self._archive.open(self._file) as stream:
            _header(stream)
            for start in range(0, size, _PIECE):
                piece = stream.read(min(_PIECE, size - start))
                if len(piece) < min(_PIECE, size - start):
                    raise ValueError(f"{self.name} ends before its {size:,} bytes")
                content[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
            if shape == self.shape:
                stream.read(1)  # at its end the archive's checksum is compared
        order = "F" if self._is_fortran else "C"
        array = content.view(self.dtype).reshape(shape, order=order)
        return array if num_rows is None or not shape else array[:num_rows]


def _header(stream):
    """Returns (shape, whether in Fortran's order, dtype) from the start of an array."""
    version = np.lib.format.read_magic(stream)
    if version not in _READERS:
        raise ValueError(f"an array of version {version}, which numbers do not need")
    size_bytes, read = _READERS[version]
    # NumPy reads as many bytes as are stated, up to 4 GiB, before it compares them with
    # a limit.
    stated = stream.read(size_bytes)
    size = int.from_bytes(stated, "little")
    if size > _MOST_HEADER_BYTES:
        raise ValueError(f"a header of {size:,} bytes, which numbers do not need")
    return read(io.BytesIO(stated + stream.read(size)))
