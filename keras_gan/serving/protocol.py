"""The JSON of TensorFlow Serving's REST API: from a body to arrays, and back.

The format is described at https://www.tensorflow.org/tfx/serving/api_rest. NaN and
Infinity are not JSON: they are refused in a request, and an answer that would hold them
is an error.
"""

import base64
import json

import numpy as np

# The HTTP code of each of TensorFlow's statuses that an answer may have.
CODES = {
    "INVALID_ARGUMENT": 400,
    "NOT_FOUND": 404,
    "FAILED_PRECONDITION": 412,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
# By TensorFlow's numbers: what an input or output may be.
FLOAT, STRING = 1, 7
DTYPES = {FLOAT: np.float32, 3: np.int32, 9: np.int64}
_DTYPE_NAMES = {FLOAT: "DT_FLOAT", 3: "DT_INT32", STRING: "DT_STRING", 9: "DT_INT64"}
_LONGEST = 500


class Refused(Exception):
    """An error for the client.

    Args:
        status: str, TensorFlow's name of the status.
        message: str; line ends become spaces, and a long one is cut.
        code: int, the HTTP code; None for that of `CODES`.
        headers: dict of further HTTP headers.
    """

    def __init__(self, status, message, code=None, headers=None):
        message = " ".join(str(message).split())[:_LONGEST]
        super().__init__(message)
        self.status, self.message = status, message
        self.code = CODES[status] if code is None else code
        self.headers = headers or {}


def invalid(message) -> Refused:
    """Returns the error of a request that no other state of the server would take."""
    return Refused("INVALID_ARGUMENT", message)


def predict(find, body: bytes, max_rows: int | None = None) -> bytes:
    """Answers the body of a `:predict`, in rows ("instances") or columns ("inputs").

    Args:
        find: function without arguments that gives a context manager of a
            `versions.Version`.
        body: bytes, JSON.
        max_rows: int, the most rows that a request may have; None sets no limit.

    Returns:
        bytes, the JSON of the answer.

    Raises:
        Refused: a body that is no request, or a request that the version refuses.
    """
    request = _parsed(body)
    with find() as version:
        name, signature = version.signature(request.get("signature_name", ""))
        in_rows = "instances" in request
        given = request["instances"] if in_rows else request["inputs"]
        if in_rows:
            given = _columns(given)
        inputs = _inputs(given, signature.inputs)
        for key, array in inputs.items():
            if max_rows is not None and array.ndim and len(array) > max_rows:
                raise invalid(
                    f"Expected at most {max_rows} rows in {key!r}. Received: "
                    f"{len(array)}; send several requests"
                )
        outputs = version.run(name, inputs)
    return _written(outputs, in_rows)


def describe(version) -> dict:
    """Returns the answer to `/metadata`, for JSON.

    Args:
        version: `versions.Version`.
    """
    return {
        "model_spec": {
            "name": version.name,
            "signature_name": "",
            "version": str(version.number),
        },
        "metadata": {
            "signature_def": {
                "signature_def": {
                    name: {
                        "inputs": _tensors(signature.inputs),
                        "outputs": _tensors(signature.outputs),
                        "method_name": signature.method_name,
                        "defaults": {},
                    }
                    for name, signature in version.signatures.items()
                }
            }
        },
    }


def statuses(numbers) -> dict:
    """Returns the answer to a request for the status of loaded versions, for JSON."""
    return {
        "model_version_status": [
            {
                "version": str(number),
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
            for number in numbers
        ]
    }


# === Reading ===


def _parsed(body):
    """Returns a request's JSON, which has either instances or inputs."""
    try:
        # `loads` would guess the encoding of bytes, and take half a character.
        request = json.loads(body.decode(), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise invalid("JSON Parse error: too many levels") from error
    except ValueError as error:  # UnicodeDecodeError too, and ints of 5,000 digits
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(request, dict) or ("instances" in request) == (
        "inputs" in request
    ):
        raise invalid("Request has to be a JSON object with 'instances' or 'inputs'")
    return request


def _refuse_constant(name):
    raise ValueError(f"{name} is no number of JSON")


def _columns(rows):
    """Returns rows as columns: {name: list} where each row has names, else a list."""
    if not isinstance(rows, list) or not rows:
        raise invalid("Expected 'instances' to be a list that is not empty")
    if not all(isinstance(row, dict) for row in rows):
        return rows
    if any(set(row) != set(rows[0]) for row in rows):
        raise invalid("Expected every instance to have the same keys")
    return {key: [row[key] for row in rows] for key in rows[0]}


def _inputs(given, expected):
    """Returns the arrays of a signature's inputs; a single one may lack its name."""
    if not isinstance(given, dict):
        if len(expected) != 1:
            raise invalid(f"Expected inputs by name: {sorted(expected)}")
        given = {next(iter(expected)): given}
    if set(given) != set(expected):
        raise invalid(f"Expected inputs {sorted(expected)}. Received: {sorted(given)}")
    return {
        key: _array(key, value, expected[key].dtype) for key, value in given.items()
    }


def _array(key, value, code):
    dtype = np.dtype(DTYPES[code])
    try:
        array = np.asarray(value)
        # Numbers as text, floats for ints and rows of several lengths are refused.
        kinds = "iuf" if code == FLOAT else "i"
        if array.size and array.dtype.kind not in kinds:
            raise ValueError("its values are not all numbers of this type")
        if _holds_bool(value):  # beside numbers, NumPy takes it for 0 or 1
            raise ValueError("true and false are no numbers")
        with np.errstate(over="ignore"):
            converted = array.astype(dtype)
        fits = np.isfinite(converted) if code == FLOAT else converted == array
        if not fits.all():
            raise ValueError("a number is too large")
        return converted
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid(
            f"JSON Value of {key!r} is not a tensor of {dtype}: {error}"
        ) from error


def _holds_bool(value):
    if isinstance(value, list):
        return any(map(_holds_bool, value))
    return isinstance(value, bool)


# === Writing ===


def _written(outputs, in_rows):
    """Returns the bytes of an answer; a single output comes without its name."""
    outputs = {key: _values(key, array) for key, array in outputs.items()}
    if len(outputs) == 1:
        (content,) = outputs.values()
    elif in_rows:
        rows = zip(*outputs.values(), strict=True)
        content = [dict(zip(outputs, row, strict=True)) for row in rows]
    else:
        content = outputs
    # Not `indent`, which takes the encoder in Python.
    name = "predictions" if in_rows else "outputs"
    return f'{{\n    "{name}": {json.dumps(content)}\n}}\n'.encode()


def _values(key, array):
    if array.dtype == object:
        # The name says that these are bytes.
        if not key.endswith("_bytes"):
            return [value.decode(errors="replace") for value in array]
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Refused(
            "INTERNAL",
            f"The model computed NaN or infinity in {key!r}, which JSON cannot hold",
        )
    return array.tolist()


def _tensors(infos):
    return {
        key: {
            "dtype": _DTYPE_NAMES.get(info.dtype, str(info.dtype)),
            "tensor_shape": {
                "dim": [
                    {"size": str(dimension.size), "name": dimension.name}
                    for dimension in info.tensor_shape.dim
                ],
                "unknown_rank": info.tensor_shape.unknown_rank,
            },
            "name": info.name,
        }
        for key, info in infos.items()
    }
