"""Where progress is shown: a stream that may end before the work does."""

import contextlib
import sys


class ProgressStream:
    """A text stream for progress, which a reader may leave; work goes on without it.

    After a write that failed, all others are ignored. tqdm needs this too: it writes
    while it holds a lock of the whole process, and never releases it after an error
    (tqdm.std.tqdm.refresh, 4.67), so that any other bar would wait for ever.

    Args:
        stream: text stream, or None for `sys.stderr`, which may be None as well.
    """

    def __init__(self, stream=None):
        self._stream = sys.stderr if stream is None else stream

    @property
    def has_ended(self) -> bool:
        """Whether a write has failed, or there was no stream at all."""
        return self._stream is None

    def write(self, text):
        self._try("write", text)
        return len(text)

    def flush(self):
        self._try("flush")

    def isatty(self):
        return bool(self._try("isatty"))

    def _try(self, name, *arguments):
        method = getattr(self._stream, name, None)
        if method is None:  # no stream, or a writer that is no file
            return None
        try:
            return method(*arguments)
        except (OSError, ValueError):  # its reader has left, the disk is full, closed
            self._stream = None
            return None

    def __getattr__(self, name):
        # tqdm asks for the encoding, and for the width of the terminal by `fileno`.
        return getattr(self._stream, name)


@contextlib.contextmanager
def share_bar(description: str):
    """Yields a function of the share done, a float, which moves a bar on a terminal.

    The bar appears after two seconds; where stderr is no terminal, there is none.
    """
    import tqdm  # not for `--help`, which takes a stream from here

    with tqdm.tqdm(
        total=1.0,
        desc=description,
        file=ProgressStream(),
        disable=None,
        delay=2,
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}",
    ) as bar:
        yield lambda share: bar.update(share - bar.n)
