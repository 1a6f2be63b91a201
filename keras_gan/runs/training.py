"""Training a run: the only place that composes the rest."""

import contextlib
import dataclasses
import datetime
import gc
import importlib.util
import logging
import tempfile
from typing import Any

import tensorflow as tf

from keras_gan import checks, evaluation, files, keras_private, replicas
from keras_gan.experiments import building, execution
from keras_gan.experiments.parts import MOST_EPOCHS
from keras_gan.pictures import formats, grids
from keras_gan.runs import callbacks as run_callbacks
from keras_gan.runs import (
    checkpoint,
    initial,
    interrupts,
    paths,
    provenance,
    starting,
    time_budget,
)
from keras_gan.runs.run import Run

_log = logging.getLogger("keras_gan")


@dataclasses.dataclass(frozen=True)
class CheckpointPlan:
    """When a training writes checkpoints, and how many of them stay.

    Attributes:
        minutes: float >= 0, between two checkpoints at most; 0 for no such interval.
        steps: int >= 0, between two checkpoints; 0 for no such interval.
        keep: int >= 1, how many of the newest stay.

    Raises:
        ValueError: another value.
    """

    minutes: float = 2.0
    steps: int = 0
    keep: int = 2

    def __post_init__(self):
        run_callbacks.check_intervals(self.minutes, self.steps)
        checks.count("keep_checkpoints", self.keep)


@dataclasses.dataclass(frozen=True)
class _Session:
    """A training that is ready to start: no mistake of the user's is left to find.

    Attributes:
        run: `Run`, in the directory that this process alone writes to.
        data: `Dataset`.
        gan: `GAN`, as it is at the start or in the checkpoint.
        described: dict, what its checkpoints and `config.json` say of it.
        start: `checkpoint.Checkpoint` to resume from, or None.
        plan: `CheckpointPlan`.
        steps_per_execution: int, steps compiled into one call.
        scores: function from the GAN to a dict of scores; None evaluates nothing.
        reals: bytes, the PNG of some of the data.
        callbacks: the caller's.
        announce: see `train`.
    """

    run: Run
    data: Any
    gan: Any
    described: dict
    start: Any
    plan: CheckpointPlan
    steps_per_execution: int
    scores: Any
    reals: bytes
    callbacks: tuple = ()
    announce: Any = None


def train(
    run: Run,
    resume="never",
    overwrite=False,
    checkpoints=CheckpointPlan(),  # noqa: B008 (it is frozen)
    callbacks=(),
    announce=None,
    minutes=None,
) -> Run:
    """Trains a run's GAN into its directory.

    The directory gets `config.json`, `metrics.jsonl`, TensorBoard's `events/` (where
    tensorboard is installed), `samples/epoch_*.png` from fixed latents, `reals.png`,
    `gan.keras`, which is replaced atomically at an epoch's end, at the training's end
    and on Ctrl-C, and `checkpoints/`, from which a training that was cut off resumes
    exactly.

    With `runtime.distribute` it trains on several replicas; of several workers the
    first alone writes.

    What happens is logged by `logging.getLogger("keras_gan")`, at level INFO.

    Args:
        run: `Run`, planned, created or opened.
        resume: "never", or "auto": resume from the newest valid checkpoint of the run
            in the directory, and start where there is none; with `overwrite`, only a
            run without one is replaced.
        overwrite: bool, whether a run that is there already is replaced.
        checkpoints: `CheckpointPlan`.
        callbacks: Keras callbacks, called after the run's own.
        announce: None, or what is called when a signal asks to stop, see
            `interrupts.StopRequest`.
        minutes: float > 0, or None. Replaces `train.epochs` of a run that starts by the
            number of epochs that fit this time, which is measured first, on networks
            that are then thrown away: the training is the one that so many epochs
            give. A run that is resumed keeps the epochs that it has.

    Returns:
        `run`.

    Raises:
        ValueError: data or networks that do not fit, a directory that holds a run
            already, or files that no run wrote; a run to resume that has other
            settings, or that another process is at work in; minutes in which no epoch
            ends, or for several workers.
        OSError: a directory that cannot be written.
        KeyboardInterrupt: Ctrl-C, once the training is saved.
        SystemExit: 143, after SIGTERM, once the training is saved.
        callbacks.TrainingDiverged: the training diverged; `gan.keras` is the last good.
    """
    checks.one_of("resume", resume, ("auto", "never"))
    budget = time_budget.of(run.experiment, minutes)
    building.check(run.experiment)
    run.experiment = paths.absolute(run.experiment)
    # Before any other use of a device: a strategy must find the devices as they are.
    strategy = replicas.strategy(run.experiment.runtime.distribute or "none")
    if not replicas.is_chief(strategy):
        _train_as_worker(run, strategy, resume, checkpoints)
        return run
    run.check_place()
    with contextlib.ExitStack() as stack:
        existed = run.path.exists()
        if existed:
            stack.enter_context(run.lock())
        if budget is not None and resume == "auto" and run.is_run:
            starting.keep_epochs(run)
        start = starting.find_start(run, resume, overwrite)
        if budget is not None:
            _set_epochs(run, strategy, start, checkpoints, budget)
        session = _session(run, strategy, start, checkpoints, callbacks, announce)
        if not existed:
            run.path.mkdir(parents=True, exist_ok=True)
            stack.enter_context(run.lock())
            # Another process may have made it a run since.
            starting.find_start(run, "never", overwrite)
        _fit(session)
    return run


def _train_as_worker(run, strategy, resume, plan):
    """Does what the chief does, and keeps nothing.

    The chief would wait in vain where a step needs every worker. A worker starts where
    the chief does, from the same file, which nobody replaces before all have built.
    """
    start = starting.checkpoint_of(run) if resume == "auto" else None
    with tempfile.TemporaryDirectory() as scratch, _silent():
        session = _session(run, strategy, start, dataclasses.replace(plan, keep=1))
        own = Run(scratch, run.experiment, run.data_dir)
        _fit(dataclasses.replace(session, run=own))


@contextlib.contextmanager
def _silent(level=logging.WARNING):
    """Logs nothing below `level` inside: one worker of several speaks for all."""
    before = _log.level
    _log.setLevel(level)
    try:
        yield
    finally:
        _log.setLevel(before)


# === How long a training is ===


def _set_epochs(run, strategy, start, plan, budget):
    """Gives a run that starts the epochs that fit its time, and logs them."""
    if start:
        _log.info(
            "The run in %s is resumed with its %s epochs: minutes are for a new one.",
            run.path,
            run.experiment.train.epochs,
        )
        return
    data = run.data()
    costs = _rehearsed(run, strategy, plan, budget.measuring_seconds)
    gc.collect()  # the networks of the rehearsal: models are cycles
    steps = data.steps_per_epoch(_batch_size(run.experiment))
    epochs, said = budget.epochs(costs, steps, run.experiment.train)
    run.experiment = run.experiment.with_settings({"train.epochs": epochs})
    _log.info("%s", said)


def _rehearsed(run, strategy, plan, seconds):
    """Trains for some seconds as the run will, in a folder that is then removed.

    Returns:
        `time_budget.Costs`. Nothing else is left: names that Keras has given count
        from where they stood, and a training takes its randomness from its seed.
    """
    rarely = {"train.epochs": MOST_EPOCHS, "train.sample_epochs": MOST_EPOCHS}
    if run.experiment.train.evaluation_epochs is not None:
        rarely["train.evaluation_epochs"] = MOST_EPOCHS
    with (
        tempfile.TemporaryDirectory() as scratch,
        _silent(logging.ERROR),
        keras_private.numbers_of_names_kept(),
    ):
        timer = time_budget.Timer(seconds)
        session = _session(run, strategy, None, plan)
        own = Run(scratch, run.experiment.with_settings(rarely), run.data_dir)
        session = dataclasses.replace(session, run=own, callbacks=(timer,))
        _fit(session)
        costs = timer.costs()  # what they leave out is drawn, and scored, once more
        grid = _sample_grid(session, every=1)
        grid.set_model(session.gan)
        scores = session.scores or (lambda gan: {})
        return dataclasses.replace(
            costs,
            picture=time_budget.seconds_of(grid.on_epoch_end, 0),
            evaluation=time_budget.seconds_of(scores, session.gan),
        )


# === Before the first step ===


def _session(run, strategy, start, plan, callbacks=(), announce=None):
    """Makes all that a training needs before the run's directory changes.

    A mistake must not cost the run that this one would replace.
    """
    data, gan, described = _restored(run, strategy, start)
    _warn_of_a_short_average(run.experiment, data)
    return _Session(
        run=run,
        data=data,
        gan=gan,
        described=described,
        start=start,
        plan=plan,
        steps_per_execution=execution.steps_per_execution(
            run.experiment, gan, data, plan.steps
        ),
        scores=_validation_scores(run, data),
        reals=_picture_of(data),
        callbacks=tuple(callbacks),
        announce=announce,
    )


def _warn_of_a_short_average(experiment, data):
    """Logs a warning where the averaged generator would average over the start."""
    train, decay = experiment.train, building.ema_decay(experiment.train)
    # A ramp forgets the start in time.
    if decay is None or train.ema_ramp is not None:
        return
    steps = train.epochs * data.steps_per_epoch(_batch_size(experiment))
    horizon = 1 / (1 - decay)
    if steps < horizon:
        _log.warning(
            "ema_decay=%s averages the generator over some %s steps, and this training "
            "has %s: the average, which is what generates, will be of early weights. "
            "A decay of %.4g would average over its last tenth.",
            f"{decay:.6g}",
            f"{horizon:,.0f}",
            f"{steps:,}",
            1 - 10 / max(steps, 20),
        )


def _validation_scores(run, data):
    """The function that scores the run as it goes, or None.

    D's answers to held-out examples stand beside the scores. They choose no model, so
    that test examples may be asked where there are no others.

    Raises:
        ValueError: the best model is to be kept by a score that these data have not.
    """
    train = run.experiment.train
    if train.evaluation_epochs is None:
        return None
    valid, test = building.load_held_out(run.experiment.data, data, run.data_dir)
    scores = evaluation.ValidationScores(data, valid, seed=train.seed)
    if train.keep_best is not None:
        checks.one_of("train.keep_best", train.keep_best, scores.names)
    held_out = test if valid is None else valid
    is_conditional = run.experiment.data.conditional
    if held_out is None or (is_conditional and held_out.labels is None):
        return scores
    answers = evaluation.HeldOutAnswers(data, held_out, seed=train.seed)
    return lambda gan: {**scores(gan), **answers(gan)}


def _picture_of(data):
    """Some of the data as the bytes of a PNG, by the layout of `SampleGrid`."""
    examples = data.fixed_examples(100 if data.spec.is_image else 2000)
    picture = grids.sample_picture(examples, data.spec, label="data")
    return formats.encode_png(picture)


def _restored(run, strategy, start):
    """(data, the GAN as it is at the start or in the checkpoint, what both are)."""
    # A checkpoint needs none; and what is missing is said before data are loaded.
    source = None if start else initial.load(run.experiment, run.path)
    data = run.data()
    with strategy.scope():
        gan = run.build()
        described = {
            "experiment": run.experiment.to_dict(),
            "data": provenance.describe_data(data),
            "execution": provenance.describe_execution(run.experiment, gan),
            "rounding": provenance.describe_rounding(),
            "initial": start.metadata.get("initial") if start else None,
        }
        if start:
            starting.check_same("data", start, described, run)
            starting.check_same("execution", start, described, run)
            provenance.warn_of_other_rounding(start.metadata.get("rounding", {}))
            checkpoint.restore(gan, start)
        elif source:
            described["initial"] = initial.take(gan, source)
    steps = start.step if start else 0
    if not replicas.agree(strategy, steps):
        raise ValueError(
            f"The workers found different checkpoints: step {steps} here, another "
            f"elsewhere. Put the run on storage that all of them share. "
            f"Received: {run.path}"
        )
    return data, gan, described


# === The training itself ===


def _fit(session):
    """Trains, in a directory that this process alone writes to."""
    run, gan, plan = session.run, session.gan, session.plan
    experiment, start = run.experiment, session.start
    _start_directory(session)
    summary_writer = _summary_writer(run)
    save_model = run_callbacks.SaveModel(run.model_path, min_seconds=10.0)
    save_model.set_model(gan)
    writer = checkpoint.Writer(
        run.checkpoints_dir, plan.keep, logs=[run.metrics_path, run.evaluations_path]
    )
    _log.info(
        "Training %s on %s (%s examples of shape %s), epochs: %s, into %s",
        experiment.name,
        experiment.data.name,
        f"{len(session.data):,}",
        session.data.spec.shape,
        experiment.train.epochs,
        run.path,
    )
    if start:
        steps = session.data.steps_per_epoch(_batch_size(experiment))
        starting.log_resuming(start, steps * experiment.train.epochs)
    with interrupts.StopRequest(session.announce) as request:
        checkpoints = run_callbacks.Checkpoints(
            writer,
            session.described,
            plan.minutes,
            plan.steps,
            start=start,
            request=request,
            summary_writer=summary_writer,
        )
        try:
            checkpoint.fit(
                gan,
                session.data,
                batch_size=_batch_size(experiment),
                seed=experiment.train.seed,
                epochs=experiment.train.epochs,
                start=start,
                callbacks=[
                    *_watchers(session, save_model, summary_writer),
                    *session.callbacks,
                    checkpoints,
                ],
                verbose=0,
                steps_per_execution=session.steps_per_execution,
                balanced=experiment.data.balanced,
            )
        except (KeyboardInterrupt, SystemExit):
            request.saving = True  # a second Ctrl-C must not cut it short
            save_model.save()
            _log.info("Stopped at step %s.", gan.generator_steps)
            raise
        finally:
            writer.wait()
            if summary_writer is not None:
                summary_writer.close()


def _batch_size(experiment):
    """Examples in a batch: k * m."""
    return experiment.train.discriminator_steps * experiment.train.batch_size


def _watchers(session, save_model, summary_writer):
    """The callbacks of every run, in the order in which they have to be called.

    The guard comes first, so that none of the others sees weights that are not finite;
    evaluations come before the log that records them.
    """
    run, gan, data = session.run, session.gan, session.data
    train = run.experiment.train
    watchers = [run_callbacks.NonFiniteGuard()]
    if session.scores is not None:
        watchers.append(_evaluation(run, session.scores, summary_writer))
    watchers += [
        run_callbacks.MetricsLog(run.metrics_path, summary_writer),
        save_model,
        _sample_grid(session, train.sample_epochs, summary_writer),
    ]
    if execution.is_one_dimensional(gan, data):
        watchers.append(
            run_callbacks.FigureOne(
                run.moments_path, data.distribution, execution.FIGURE_1_STEPS
            )
        )
    return watchers


def _sample_grid(session, every, summary_writer=None):
    """The callback that draws samples of the run as it goes."""
    data = session.data
    return run_callbacks.SampleGrid(
        session.run.samples_dir,
        every=every,
        seed=session.run.experiment.train.seed,
        examples=None if data.spec.is_image else data.fixed_examples(2000),
        summary_writer=summary_writer,
    )


def _evaluation(run, scores, summary_writer):
    """The callback that scores the run as it goes."""
    train = run.experiment.train
    more_is_better = evaluation.VALIDATION_SCORES.get(train.keep_best)
    return run_callbacks.Evaluation(
        scores,
        run.evaluations_path,
        every=train.evaluation_epochs,
        keep=train.keep_best,
        mode="max" if more_is_better else "min",
        best_path=run.best_path,
        summary_writer=summary_writer,
    )


def _summary_writer(run):
    """The writer of TensorBoard's events; None where tensorboard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        _log.info("tensorboard is not installed: the run gets no events for it.")
        return None
    return tf.summary.create_file_writer(str(run.events_dir))


def _start_directory(session):
    """Clears or rewinds the run's directory, and describes the training in it."""
    run, start, data = session.run, session.start, session.data
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    began = {"started": now}
    if start:
        # A worker's own directory is no run before this.
        past = run.config if run.is_run else {}
        resumed = [*past.get("resumed", []), {"step": start.step, "at": now}]
        began = {"started": past.get("started"), "resumed": resumed}
        epochs = start.step // data.steps_per_epoch(_batch_size(run.experiment))
        run.rewind(epochs, session.gan.generator_steps)
        files.clean(run.checkpoints_dir)
        for path in checkpoint.paths(run.checkpoints_dir):
            if path == start.path:
                break
            path.unlink()  # damaged, and said so; it would outlive newer valid ones
    elif run.is_run:
        run.clear()
    run.write_config({**session.described, **began, **provenance.environment()})
    files.write(run.reals_path, session.reals)
