"""SIGINT and SIGTERM as requests that a training acts on between two steps."""

import contextlib
import signal
import sys
import threading
import time


class StopRequest:
    """Notes SIGINT (Ctrl-C) and SIGTERM, for a training to act on when Python can.

    That is between two steps, or two executions of several.

    As a context it replaces their handlers; in another thread than the main one, where
    Python forbids this, it does nothing. Signals after the first are ignored, so that a
    second Ctrl-C does not cut the saving short; only where the training has not reached
    the end of a step within `PATIENCE` seconds, a further Ctrl-C interrupts it there.

    Args:
        announce: function of a `signal.Signals`, called once, when the first signal
            arrives, to tell the user that it was noticed; None tells nobody. It runs
            inside of the signal's handler, which may have interrupted a `print`: write
            by `os.write`. Its OSError, of a pipe whose reader has left, is ignored.

    Attributes:
        signal: the first `signal.Signals` that came, or None.
        saving: bool, set by whoever acts on it.
    """

    PATIENCE = 10.0

    def __init__(self, announce=None):
        self.signal = None
        self.saving = False
        self._announce = announce
        self._handlers = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A signal that the shell told this process to ignore stays ignored.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _note(self, number, frame):
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = signal.Signals(number), now
            if self._announce is not None:
                # Ctrl-C ends every process of a pipe, the reader of ours too.
                with contextlib.suppress(OSError):
                    self._announce(self.signal)
        elif (
            number == signal.SIGINT
            and not self.saving
            and now - self._since > self.PATIENCE
        ):
            raise KeyboardInterrupt

    def stop(self):
        """Ends the training as the signal asks for, once its state is saved.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: 143, after SIGTERM.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + signal.SIGTERM)
