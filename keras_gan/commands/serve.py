"""Serves an export over HTTP: keras-gan serve --model=saved_models/digits"""

import signal
import sys
import threading

from absl import flags

from keras_gan.commands import addresses, quiet


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan serve`."""
    flags.DEFINE_string(
        "model",
        None,
        "A directory of exported versions, one version, or a run that has an export.",
        required=True,
        flag_values=values,
    )
    addresses.define(values, port=8501)
    flags.DEFINE_string(
        "name",
        None,
        "The model's name in the URL. By default that of the directory.",
        flag_values=values,
    )
    for name, default, meaning in (
        ("max_connections", 64, "Connections at once; others are answered 503."),
        ("max_request_mib", 8, "Size of a request; larger ones are answered 413."),
        ("max_rows", 128, "Rows of a request; more are answered 400."),
        ("timeout", 30, "Seconds in which a request must arrive, or its answer leave."),
    ):
        flags.DEFINE_integer(name, default, meaning, lower_bound=1, flag_values=values)


def more_help(values: flags.FlagValues) -> str:
    """Returns what the server is for, and what it is not."""
    lines = (
        "For trying a generator, and for a few users of one machine. It has no TLS and",
        "no password: whoever can reach its port may ask. It runs on Linux, serves one",
        "model, and joins no requests into batches. For all else there is TensorFlow",
        "Serving, whose REST protocol it speaks: see docs/serving.md.",
        "",
        "A version that is published there is served a second or two later.",
        "GET /healthz says whether it answers, /monitoring/prometheus/metrics how",
        "often and how fast. Ctrl-C and SIGTERM end it after the requests in flight.",
    )
    return "\n".join(lines)


def main(values: flags.FlagValues):
    """Serves --model until SIGINT or SIGTERM."""
    if not sys.platform.startswith("linux"):
        raise ValueError(
            "Expected Linux, whose TensorFlow has the library that answers. Received: "
            f"{sys.platform}; use TensorFlow Serving, see docs/serving.md"
        )
    stop = threading.Event()

    def end(number, frame):
        stop.set()
        # A second one does not wait.
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    from keras_gan import serving

    serving.protos_alone()
    serving.find_export(values.model, values.name)  # a mistake is answered at once
    quiet.load_library()
    limits = serving.Limits(
        max_connections=values.max_connections,
        max_request_bytes=values.max_request_mib * 2**20,
        max_rows=values.max_rows,
        timeout=values.timeout,
    )
    finished = serving.serve(
        values.model,
        values.host,
        values.port,
        values.name,
        limits,
        started=lambda url: addresses.announce(url, values.host),
        stop=stop,
    )
    if not finished:
        print("warning: Not all requests were answered.", file=sys.stderr, flush=True)
