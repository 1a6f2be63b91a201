"""What benchmarks of networks share: cases, and the protocol with worker processes.

A worker reads lines of JSON from its standard input and answers each with one line.
`{"do": "build", "case": {...}, "variant": name}` builds what is to be timed and
answers `{"parameters": [G's, D's]}`; `{"do": "time", "variant": name, "steps": n}`
runs it and answers `{"seconds": s}`; `{"do": "losses", "case": {...}, "file": path}`
answers `{"losses": [D's, G's]}` at weights that one worker writes to the file and the
other reads; `{"do": "forget"}` frees all that was built.
"""

import dataclasses
import gc
import json
import os
import pathlib
import subprocess
import sys
import time

# Builders of pictures' networks: their widths, which 2 cores can bear.
WIDTHS = {"dcgan32": 32, "dcgan64": 32, "resnet32": 32}
# Additions to a step of these networks: "r1", R1 in each step of D;
# "lazy_r1", in every 16th; spectral normalisation of D; augmentation of what D sees.
ADDITIONS = ("none", "r1", "lazy_r1", "spectral", "diffaugment")
R1_GAMMA = 1.0
LAZY_EVERY = 16


@dataclasses.dataclass(frozen=True)
class Case:
    """Networks, k of Algorithm 1, and m, the examples in a minibatch.

    Attributes:
        width: int, channels; None of networks that have one size only. By default that
            of `WIDTHS`.
        addition: str, one of `ADDITIONS`; "none" for networks that are not in `WIDTHS`.
    """

    networks: str
    discriminator_steps: int
    batch_size: int
    width: int | None = None
    addition: str = "none"

    def __post_init__(self):
        if self.width is None:
            object.__setattr__(self, "width", WIDTHS.get(self.networks))

    @property
    def every(self):
        """The steps of D from one R1 to the next; None without R1.

        As many steps of training have the penalty equally often, whichever is first.
        """
        return {"r1": 1, "lazy_r1": LAZY_EVERY}.get(self.addition)


# Networks: shape of a sample, width of the latents, what updates both networks.
SHAPES = {
    "digits_mlp": (8, 8, 1),
    "mnist_mlp": (28, 28, 1),
    "cifar_conv": (32, 32, 3),
    "conv64": (64, 64, 3),
    "dcgan32": (32, 32, 3),
    "dcgan64": (64, 64, 3),
    "resnet32": (32, 32, 3),
}
LATENT_DIM = 100
# The optimizers of the paper's recipes, and of DCGAN.
SGD = {"learning_rate": 0.01, "momentum": 0.5}
ADAM = {"learning_rate": 2e-4, "beta_1": 0.5}
OPTIMIZER = {
    "digits_mlp": ADAM,
    "mnist_mlp": SGD,
    "cifar_conv": SGD,
    "conv64": ADAM,
    **dict.fromkeys(WIDTHS, ADAM),
}
# Channels of the 64x64 pair: G 4x4x512 -> 8 -> 16 -> 32 -> 64, D the reverse.
CONV64_CHANNELS = (512, 256, 128, 64)


def leaves(model):
    """The layers of a model and of the models in it."""
    for layer in model.layers:
        yield from leaves(layer) if hasattr(layer, "layers") else (layer,)


def serve(build, losses=None):
    """Answers the parent until it closes the pipe.

    Args:
        build: a function of a `Case` and a variant's name; returns (a function of a
            number of steps that runs them and waits for their end, the parameters of G
            and of D).
        losses: None, or a function of a `Case` and a path; returns (D's loss, G's).
    """
    # Whatever a library prints must not mix with the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    built = {}
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        if request["do"] == "forget":
            built.clear()
            gc.collect()
        elif request["do"] == "build":
            variant = request["variant"]
            start = time.perf_counter()
            run, parameters = build(Case(**request["case"]), variant)
            run(2)  # traces and compiles
            built[variant] = run
            answer = {
                "parameters": parameters,
                "first_steps_seconds": time.perf_counter() - start,
            }
        elif request["do"] == "losses":
            answer = {"losses": losses(Case(**request["case"]), request["file"])}
        else:
            run = built[request["variant"]]
            start = time.perf_counter()
            run(request["steps"])
            answer = {"seconds": time.perf_counter() - start}
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """A process that times what it is asked to.

    Args:
        file: str, the script beside this one that runs `serve`.
        arguments: list of str, for the script.
        environment: dict of variables that it gets besides those of this process.
    """

    def __init__(self, file, arguments=(), environment=None):
        self._process = subprocess.Popen(
            [sys.executable, str(pathlib.Path(__file__).parent / file), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )

    def ask(self, **request):
        self.tell(**request)
        return self.hear()

    def tell(self, **request):
        """Asks, and leaves it to `hear` to wait for the answer."""
        self._request = request
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()

    def hear(self):
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(
                f"error: the process that was asked {self._request} has ended."
            )
        return json.loads(answer)

    def close(self):
        self._process.stdin.close()
        self._process.wait()
