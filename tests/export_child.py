"""Answers requests by TensorFlow's C API: a script, run by `export_helpers.Child`.

Not in the tests' own process, where TensorFlow's Python has loaded the same libraries.
"""

import os
import pathlib
import pickle
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "keras_gan" / "export" / "verification"))

import c_session  # noqa: E402
import probe  # noqa: E402

_sessions = {}


def run(path, signatures, signature, inputs):
    if path not in _sessions:
        _sessions[path] = c_session.Session(path, signatures)
    return _sessions[path].run(signature, inputs)


def by_server(request):
    return probe.by_server(request)


def xla(path, signatures, signature, inputs, disabled):
    session = c_session.Session(path, signatures, disable_xla=disabled)
    try:
        return session.run(signature, inputs)
    finally:
        session.close()


def closed(path, signatures, signature, inputs):
    session = c_session.Session(path, signatures)
    session.close()
    session.close()
    return session.run(signature, inputs)


def resident(path, signatures, requests, times):
    """Returns the bytes in memory before and after `times` rounds of requests."""
    session = c_session.Session(path, signatures)

    def rounds(count):
        for _ in range(count):
            for signature, inputs, fails in requests:
                try:
                    session.run(signature, inputs)
                    failed = False
                except c_session.SessionError:
                    failed = True
                if failed != fails:
                    raise ValueError(f"{signature} failed: {failed}")

    rounds(max(100, times // 10))
    before = _resident()
    rounds(times)
    return before, _resident()


def modules():
    return sorted({name.partition(".")[0] for name in sys.modules})


def _resident():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    functions = {
        function.__name__: function
        for function in (run, by_server, xla, closed, resident, modules)
    }
    # The library may write to standard output: answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            break
        try:
            answer = True, functions[name](*arguments)
        except Exception as error:
            answer = False, f"{type(error).__name__}: {error}"
        pickle.dump(answer, answers)
        answers.flush()
