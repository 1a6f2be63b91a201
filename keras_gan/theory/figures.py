"""Figures of the propositions of Goodfellow et al. (2014), and their numbers.

Each `*_figure(path)` computes its own example, writes a PNG and returns its checks.
"""

import dataclasses
import os
import pathlib

import keras
import numpy as np
import tabulate
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import checks, files, theory
from keras_gan.gan import GAN

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the table: what a proposition says, and what was found.

    Attributes:
        source: the place in the paper, such as "Theorem 1".
        computed: the quantity.
        expected: its value according to the paper, as text.
        found: its value here, as text.
    """

    source: str
    computed: str
    expected: str
    found: str


def normal_mixture(weights, means, scales) -> tfd.MixtureSameFamily:
    """Returns a mixture of normals on the line, float64 with event shape (1,).

    Args:
        weights, means, scales: sequences `(K,)`; weights sum to 1.

    Returns:
        tfd.MixtureSameFamily, which serves a GAN as data or as a prior.
    """
    means, scales = np.float64(means)[:, None], np.float64(scales)[:, None]
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.float64(weights)),
        tfd.Independent(tfd.Normal(means, scales), 1),
    )


def fit_discriminator(
    p_data: tfd.Distribution,
    p_g: tfd.Distribution,
    steps: int = 2000,
    batch_size: int = 512,
    units: int = 32,
    seed: int = 0,
) -> GAN:
    """Trains D alone between two fixed densities: Proposition 1, where G is fixed.

    The GAN's prior is p_g, and its generator is the identity, which has no weights. D
    is a multilayer perceptron with two tanh layers and no dropout. Adam's learning rate
    falls from 0.01 to 0 along a cosine. No example and no latent is used twice.

    Args:
        p_data, p_g: TFP distributions with event shape (L,).
        steps: int >= 1, minibatches.
        batch_size: int >= 1, m.
        units: int, the width of each hidden layer.
        seed: int, of weights, examples and latents.

    Returns:
        GAN, whose `discriminator` is D and whose `evaluate` logs `value`.
    """
    shape = tuple(p_data.event_shape)
    latents, examples = keras.Input(shape), keras.Input(shape)
    x = examples
    for i in range(2):
        init = keras.initializers.GlorotUniform(seed=seed + i)
        x = keras.layers.Dense(units, activation="tanh", kernel_initializer=init)(x)
    init = keras.initializers.GlorotUniform(seed=seed + 2)
    gan = GAN(
        keras.Model(latents, keras.layers.Identity()(latents)),
        keras.Model(examples, keras.layers.Dense(1, kernel_initializer=init)(x)),
        latent_prior=p_g,
        value_range=None,
        seed=seed,
    )
    rate = keras.optimizers.schedules.CosineDecay(0.01, steps)
    gan.compile(
        generator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_optimizer=keras.optimizers.Adam(rate),
        loss="minimax",
        steps_per_execution=min(steps, 50),
    )
    gan.fit(
        draws(p_data, steps * batch_size, batch_size, seed), shuffle=False, verbose=0
    )
    return gan


def draws(
    distribution: tfd.Distribution, count: int, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Returns `count` samples of a distribution, float32, in batches."""
    with tf.device("CPU:0"):
        samples = distribution.sample(count, seed=tf.constant([seed, 1], tf.int32))
        samples = tf.cast(samples, tf.float32)
    return tf.data.Dataset.from_tensor_slices(samples).batch(batch_size)


def discriminator_figure(path: str | os.PathLike, seed: int = 0) -> list[Check]:
    """Draws Proposition 1: a trained D and D*, and the bound on the JSD from V."""
    p_data = normal_mixture([0.5, 0.5], [-1.5, 1.5], [0.5, 0.8])
    p_g = normal_mixture([1.0], [0.0], [1.0])
    both = normal_mixture([0.25, 0.25, 0.5], [-1.5, 1.5, 0.0], [0.5, 0.8, 1.0])
    gan = fit_discriminator(p_data, p_g, seed=seed)

    ends = theory.quantile(both, [0.025, 0.975])
    central = np.linspace(*ends, 1001)[:, None]
    optimal = theory.optimal_discriminator(p_data, p_g)

    def trained(x):
        return np.asarray(tf.sigmoid(gan.discriminator(x)))[:, 0]

    gap = np.abs(trained(central) - optimal(central)).max()
    divergence = theory.jensen_shannon_divergence(p_data, p_g).value
    exact = theory.value(gan.discriminator, p_data, p_g).value
    logs = gan.evaluate(
        draws(p_data, 200_000, 2000, seed + 1), return_dict=True, verbose=0
    )

    figure, (left, right) = _figure(2)
    x = np.linspace(-4, 5, 901)[:, None]
    for density, color, label in (
        (p_data, "black", "p_data"),
        (p_g, "tab:green", "p_g"),
    ):
        right.plot(x, np.exp(density.log_prob(x)), color=color, label=label)
    right.set(xlabel="x", ylabel="density", xlim=(-4, 5), ylim=(0, 0.55))
    left.plot(x, optimal(x), color="0.6", linewidth=4, label="D*, equation (2)")
    left.plot(x, trained(x), color="tab:blue", label="D trained")
    for end in ends:
        left.axvline(end, color="0.7", linestyle=":", linewidth=1)
    left.set(xlabel="x (95% of both between the dots)", ylabel="D(x)")
    left.set(xlim=(-4, 5), ylim=(0, 1.3))
    left.set_yticks(np.linspace(0, 1, 6))
    for axes in (left, right):
        axes.legend(loc="upper right", fontsize=8)
    _save(figure, path)
    return [
        Check(
            "Proposition 1",
            "max |D - D*|, D trained, central 95%",
            "0",
            f"{gap:.4f}",
        ),
        Check(
            "Theorem 1",
            "(V + log 4) / 2 of the same D",
            f"below {divergence:.5f}",
            f"{theory.jensen_shannon_lower_bound(exact):.5f}",
        ),
        Check(
            "Theorem 1",
            "the same from the logged `value`",
            f"near {divergence:.5f}",
            f"{theory.jensen_shannon_lower_bound(logs['value']):.5f}",
        ),
    ]


def criterion_figure(path: str | os.PathLike) -> list[Check]:
    """Draws Theorem 1: C(G) as p_g = N(mean, 1) moves through p_data = N(0, 1)."""
    p_data = tfd.Normal(np.float64(0), np.float64(1))
    means = np.linspace(-4, 4, 33)
    family = [tfd.Normal(np.float64(mean), np.float64(1)) for mean in means]
    criteria = np.array([theory.criterion(p_data, p_g).value for p_g in family])
    divergences = np.array(
        [theory.jensen_shannon_divergence(p_data, p_g).value for p_g in family]
    )
    by_theorem = -theory.LOG_4 + 2 * divergences

    figure, axes = _figure(1)
    axes.plot(means, by_theorem, color="0.6", linewidth=4, label="-log 4 + 2 JSD")
    axes.plot(means, criteria, ".", color="tab:blue", label="C(G), equation (4)")
    axes.axhline(-theory.LOG_4, color="0.5", linestyle=":", linewidth=1, label="-log 4")
    axes.set(xlabel="mean of p_g (p_data: 0)", ylabel="nats", ylim=(-1.5, 0.3))
    axes.legend(loc="upper center", fontsize=8, ncols=3, columnspacing=1)
    _save(figure, path)
    return [
        Check(
            "Theorem 1",
            "C(G) at p_g = p_data",
            f"{-theory.LOG_4:.12f}",
            f"{criteria[len(means) // 2]:.12f}",
        ),
        Check(
            "Theorem 1",
            "C(G) next to it, p_g = N(0.25, 1)",
            "more",
            f"{criteria[len(means) // 2 + 1]:.12f}",
        ),
        Check(
            "Equation (6)",
            "max |C - (-log 4 + 2 JSD)| of 33 p_g",
            "0",
            f"{np.abs(criteria - by_theorem).max():.1e}",
        ),
    ]


def descent_figure(path: str | os.PathLike, seed: int = 0) -> list[Check]:
    """Draws Proposition 2: a discrete p_g descends C, with D optimal at every step."""
    rng = np.random.default_rng(seed)
    p_data, start = rng.dirichlet(np.ones(12)), rng.dirichlet(np.ones(12))
    rates = (0.25, 0.5, 1.0)
    runs = {rate: theory.discrete_descent(p_data, start, rate, 60) for rate in rates}

    figure, (left, right) = _figure(2)
    outcomes = np.arange(12)
    left.bar(outcomes, p_data, color="0.8", label="p_data")
    for step, color in ((0, "tab:red"), (4, "tab:orange"), (16, "tab:green")):
        left.plot(
            outcomes, runs[0.5].p_g[step], ".-", color=color, label=f"p_g, step {step}"
        )
    top = 1.6 * max(p_data.max(), start.max())
    left.set(xlabel="outcome", ylabel="probability (rate 0.5)", ylim=(0, top))
    left.legend(loc="upper center", fontsize=8, ncols=2)
    for rate, run in runs.items():
        # Below this, only the rounding of the sum is left.
        above = np.where(
            run.criterion + theory.LOG_4 > 1e-14, run.criterion + theory.LOG_4, np.nan
        )
        right.semilogy(above, label=f"learning rate {rate}")
    right.set(xlabel="step", ylabel="C(G) + log 4, nats")
    right.legend(loc="upper right", fontsize=8)
    _save(figure, path)
    rise = max(np.diff(run.criterion).max() for run in runs.values())
    return [
        Check(
            "Proposition 2",
            "max |p_g - p_data| after 60 steps, rate 0.5",
            "0",
            f"{np.abs(runs[0.5].p_g[-1] - p_data).max():.1e}",
        ),
        Check(
            "Proposition 2",
            "C(G) + log 4 there, from "
            f"{runs[0.5].criterion[0] + theory.LOG_4:.3f} at first",
            "0",
            f"{runs[0.5].criterion[-1] + theory.LOG_4:.1e}",
        ),
        Check("Proposition 2", "largest rise of C in a step", "0", f"{rise:.1e}"),
    ]


def gradient_figure(path: str | os.PathLike, seed: int = 0) -> list[Check]:
    """Draws section 3: how far smoothed gradients are from the tape's, over sigma."""
    x = np.array([0.4, -0.7])
    direction = np.array([1.0, 2.0])
    init = [keras.initializers.RandomNormal(stddev=1.0, seed=seed + i) for i in (0, 1)]
    inputs = keras.Input((2,))
    hidden = keras.layers.Dense(8, "tanh", kernel_initializer=init[0])(inputs)
    network = keras.Model(
        inputs, keras.layers.Dense(1, kernel_initializer=init[1])(hidden)
    )
    functions = {
        "sin(x1 + 2 x2)": lambda x: tf.sin(tf.linalg.matvec(x, direction)),
        "network, 8 tanh": network,
    }
    sigmas = 2.0 ** np.arange(-7, 1)
    figure, panels = _figure(2)
    found = []
    for (name, f), axes in zip(functions.items(), panels, strict=True):
        with tf.GradientTape() as tape:
            variable = tf.constant(x[None])
            tape.watch(variable)
            output = f(variable)
        gradient = np.float64(tape.gradient(output, variable))[0]
        estimates = [
            theory.smoothed_gradient(f, x, sigma, 400_000, seed) for sigma in sigmas
        ]
        distances = np.array([np.linalg.norm(e.value - gradient) for e in estimates])
        errors = np.array([np.linalg.norm(e.error) for e in estimates])
        axes.loglog(sigmas, distances, "o-", color="tab:blue", label="distance")
        axes.loglog(sigmas, errors, color="0.6", label="standard error")
        square = distances[-3] * (sigmas / sigmas[-3]) ** 2
        drawn = square > errors.min() / 3
        axes.loglog(sigmas[drawn], square[drawn], "k:", label="sigma^2")
        axes.set(xlabel="sigma, units of x", ylabel="gradients' distance", title=name)
        axes.legend(loc="upper left", fontsize=8)
        found += [
            Check(
                "Section 3",
                f"{name}: distance, sigma 1/4 over 1/8",
                "about 4",
                f"{distances[-3] / distances[-4]:.2f}",
            ),
            Check(
                "Section 3",
                f"{name}: distance at sigma 1/128",
                f"0 +- {errors[0]:.1e}",
                f"{distances[0]:.1e}",
            ),
        ]
    _save(figure, path)
    return found


def draw(
    output: str | os.PathLike, seed: int = 0
) -> tuple[list[Check], list[pathlib.Path]]:
    """Draws all figures, `theory_*.png`, into a folder.

    Args:
        output: the folder, which is created if it does not exist.
        seed: int >= 0, of everything random.

    Returns:
        (checks, paths of the figures).

    Raises:
        ValueError: a negative seed, or an output that is a file.
        OSError: an output that cannot be written.
        ModuleNotFoundError: matplotlib is not installed.
    """
    checks.count("seed", seed, 0)
    files.check_output(output, directory=True)
    checks.require("matplotlib.figure", extra="figures")
    paths = [
        pathlib.Path(output) / f"theory_{name}.png"
        for name in ("discriminator", "criterion", "descent", "gradient")
    ]
    found = discriminator_figure(paths[0], seed)
    found += criterion_figure(paths[1])
    found += descent_figure(paths[2], seed)
    found += gradient_figure(paths[3], seed)
    return found, paths


def format_checks(found: list[Check]) -> str:
    """Returns the checks as a table of text, one line each.

    Args:
        found: list of Check.
    """
    # tabulate would parse the numbers and drop their digits.
    return tabulate.tabulate(
        [dataclasses.astuple(check) for check in found],
        headers=[field.name for field in dataclasses.fields(Check)],
        tablefmt="simple",
        disable_numparse=True,
    )


def _figure(panels):
    matplotlib = checks.require("matplotlib.figure", extra="figures")
    figure = matplotlib.Figure(
        figsize=(3.9 * panels + 0.6, 3.2), dpi=100, layout="constrained"
    )
    axes = figure.subplots(1, panels)
    return figure, axes


def _save(figure, path):
    backend = checks.require("matplotlib.backends.backend_agg", extra="figures")
    backend.FigureCanvasAgg(figure)
    with files.replacing(path) as temporary:
        # Without matplotlib's version in it, the same figure gives the same file.
        figure.savefig(temporary, metadata={"Software": None})
