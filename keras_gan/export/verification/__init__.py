"""Proves that a model server can run an exported version, without the server."""

from keras_gan.export.verification.verifier import (
    VerificationError as VerificationError,
)
from keras_gan.export.verification.verifier import verify as verify
