"""Counts and times of requests, as Prometheus reads them.

The names are TensorFlow Serving's where it has one.
"""

import bisect
import threading

# Microseconds: 100, 200, 400 ... 52 s.
_BOUNDS = [100 * 2**power for power in range(20)]
_REQUESTS = ":tensorflow:serving:request_count"
_LATENCY = ":tensorflow:serving:request_latency"
_RUNTIME = ":tensorflow:serving:runtime_latency"
_RESPONSES = "keras_gan_serving_http_response_count"
_CONNECTIONS = "keras_gan_serving_connections"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counters and histograms that several threads write."""

    def __init__(self):
        self._lock = threading.Lock()
        self._counts, self._times = {}, {}

    def answered(self, code: int) -> None:
        """Counts an HTTP answer, of any kind, by its code."""
        self._count(_RESPONSES, f'code="{code}"')

    def predicted(self, model: str, status: str, seconds: float) -> None:
        """Counts a request to a model that is served, and its time.

        Args:
            model: its name.
            status: TensorFlow's, such as "OK".
            seconds: from the request's first byte to the answer before it is sent.
        """
        model = _escaped(model)
        self._count(_REQUESTS, f'model_name="{model}",status="{status}"')
        self._time(
            _LATENCY, f'model_name="{model}",API="Predict",entrypoint="REST"', seconds
        )

    def computed(self, model: str, signature: str, seconds: float) -> None:
        """Counts the time of a model alone, without HTTP and JSON."""
        self._time(_RUNTIME, f'model_name="{_escaped(model)}",API="Predict"', seconds)

    def text(self, connections: int) -> bytes:
        """Returns what Prometheus reads.

        Args:
            connections: the number of clients that are connected now.
        """
        with self._lock:
            lines = []
            for name in (_REQUESTS, _RESPONSES):
                lines.append(f"# TYPE {name} counter")
                lines += [
                    f"{name}{{{labels}}} {count}"
                    for (of, labels), count in self._counts.items()
                    if of == name
                ]
            for name in (_LATENCY, _RUNTIME):
                lines.append(f"# TYPE {name} histogram")
                for (of, labels), (buckets, total) in self._times.items():
                    if of == name:
                        lines += _histogram(name, labels, buckets, total)
        lines += [f"# TYPE {_CONNECTIONS} gauge", f"{_CONNECTIONS} {connections}"]
        return ("\n".join(lines) + "\n").encode()

    def _count(self, name, labels):
        with self._lock:
            self._counts[name, labels] = self._counts.get((name, labels), 0) + 1

    def _time(self, name, labels, seconds):
        microseconds = 1e6 * seconds
        with self._lock:
            buckets, total = self._times.get(
                (name, labels), ([0] * (len(_BOUNDS) + 1), 0.0)
            )
            buckets[bisect.bisect_left(_BOUNDS, microseconds)] += 1
            self._times[name, labels] = buckets, total + microseconds


def _histogram(name, labels, buckets, total):
    """The lines of one histogram, whose buckets hold all values up to a bound."""
    lines, below = [], 0
    for bound, count in zip([*_BOUNDS, "+Inf"], buckets, strict=True):
        below += count
        lines.append(f'{name}_bucket{{{labels},le="{bound}"}} {below}')
    lines.append(f"{name}_sum{{{labels}}} {total:.0f}")
    lines.append(f"{name}_count{{{labels}}} {below}")
    return lines


def _escaped(value):
    """A label's value as the text format writes it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
