"""A small HTTP server for exports, with the REST protocol of TensorFlow Serving.

It answers from TensorFlow's C API, the loader of TensorFlow Serving itself, and imports
neither Keras nor TensorFlow's Python. For a few users who try a generator; TensorFlow
Serving is for all else (docs/serving.md).

- `running`: `serve`, from a path to a server that runs until it is told to stop.
- `server`: threads, connections, and their limits.
- `connection`: HTTP: one request after the other of one connection.
- `protocol`: JSON: from a request's body to arrays, and from arrays to an answer.
- `versions`: what is loaded, and what replaces it.
- `metrics`: what Prometheus reads.
"""

from keras_gan.serving.metrics import Metrics as Metrics
from keras_gan.serving.protocol import Refused as Refused
from keras_gan.serving.running import find_export as find_export
from keras_gan.serving.running import protos_alone as protos_alone
from keras_gan.serving.running import serve as serve
from keras_gan.serving.server import Limits as Limits
from keras_gan.serving.server import Server as Server
from keras_gan.serving.versions import Models as Models
from keras_gan.serving.versions import latest_in as latest_in
