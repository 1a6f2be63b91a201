"""Processes for tests that kill trainings: forked, as importing TensorFlow takes long.

`Nursery` starts one Python that imports the package, and nothing else; each child is a
fork of it that runs a script as `python SCRIPT ARGUMENTS` would, in a process group of
its own.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

_SERVER = """
import json, os, runpy, signal, sys
sys.path.insert(0, "scripts")
import keras_gan
print("ready", flush=True)
for line in sys.stdin:
    job = json.loads(line)
    if "argv" in job:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in (1, 2):
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                os.dup2(os.open(job["output"], flags), number)
            sys.argv = job["argv"]
            code = 1
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
                code = 0
            except SystemExit as error:
                code = error.code or 0
            finally:
                sys.stdout.flush()
                os._exit(code)
        print(child, flush=True)
    else:
        status = os.waitstatus_to_exitcode(os.waitpid(job["wait"], 0)[1])
        print(status, flush=True)
"""


class Child:
    def __init__(self, nursery, process_id, output):
        self.process_id = process_id
        self.output = output
        self._nursery = nursery

    def kill(self, number=signal.SIGKILL):
        os.kill(self.process_id, number)

    def wait(self):
        """The exit code; that of a signal is negative."""
        return self._nursery.ask(wait=self.process_id)

    def text(self):
        return self.output.read_text() if self.output.exists() else ""


class Nursery:
    """A context; `start` forks a child."""

    def __init__(self, root, log):
        self._root, self._log = root, log

    def __enter__(self):
        self._errors = open(self._log, "w")
        environment = {**os.environ, "PYTHONPATH": str(self._root)}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            cwd=self._root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(self._log.read_text())
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, **job):
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, output, *argv):
        argv = [str(argument) for argument in argv]
        process_id = self.ask(argv=argv, output=str(output))
        return Child(self, process_id, output)

    def run(self, output, *argv):
        """(exit code, what it printed) of a script that ends by itself."""
        child = self.start(output, *argv)
        return child.wait(), child.text()


def wait_until(condition, child, seconds=300):
    """Polls until `condition()` holds; raises where the child prints an error first."""
    end = time.monotonic() + seconds
    while not condition():
        if re.search("^(error:|Traceback)", child.text(), re.MULTILINE):
            raise RuntimeError(child.text())
        if time.monotonic() > end:
            raise TimeoutError(child.text())
        time.sleep(0.01)
