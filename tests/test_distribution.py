"""Training on several replicas: two on logical CPUs, and two processes on 127.0.0.1."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan import experiments, replicas
from keras_gan.runs import checkpoint
from tests import distribution_child

PLAYERS = ("discriminator", "generator")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def start(*arguments, module="tests.distribution_child", **environment):
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def finish(*processes):
    """What each reports; none outlives the test."""
    try:
        outputs = [process.communicate(timeout=600) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors[-4000:]
    return [output for output, _ in outputs]


def report(output):
    return json.loads(output.split("REPORT ")[1].splitlines()[0])


def cluster(size):
    """A TF_CONFIG for each of `size` workers on this machine."""
    sockets = [socket.socket() for _ in range(size)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return [
        json.dumps(
            {
                "cluster": {"worker": addresses},
                "task": {"type": "worker", "index": index},
            }
        )
        for index in range(size)
    ]


# === Two replicas on logical CPUs ===


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirrored")
    (output,) = finish(start("mirrored", folder))
    return report(output), folder


@pytest.fixture(scope="module")
def more_scenarios():
    (output,) = finish(start("scenarios", *distribution_child.SLOW))
    return report(output)


def assert_two_are_one(one, two):
    """Weights, averaged weights, running means and `evaluate`."""
    assert len(one["weights"]) == len(two["weights"])
    for a, b in zip(one["weights"], two["weights"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert two["logs"] == pytest.approx(one["logs"], abs=1e-5)
    assert two["evaluated"] == pytest.approx(one["evaluated"], abs=1e-5)


def test_two_replicas_are_one_device(mirrored):
    assert_two_are_one(**mirrored[0]["scenarios"]["k=3"])


@pytest.mark.slow
@pytest.mark.parametrize("name", distribution_child.SLOW)
def test_two_replicas_are_one_device_in_more_scenarios(more_scenarios, name):
    assert_two_are_one(**more_scenarios[name])


@pytest.mark.slow
def test_two_replicas_move_p_as_one_device(more_scenarios):
    """By the signs of the examples of both, an odd number of them."""
    one, two = more_scenarios["ADA"].values()
    p = one["logs"]["augmentation_p"]
    assert 0.1 < p < 0.9 and p != pytest.approx(0.4, abs=1e-3)
    assert two["logs"]["augmentation_p"] == pytest.approx(p, abs=1e-6)
    assert two["p"] == [pytest.approx(one["p"][0], abs=1e-6)] * 2
    assert one["p"][0] != pytest.approx(0.4, abs=1e-3)


def test_every_replica_draws_latents_of_its_own(mirrored):
    first, again = mirrored[0]["latents"]
    assert first == again
    rows = [tuple(row) for latents in first for row in latents]
    assert len(set(rows)) == len(rows) == 10


def test_a_layer_on_an_empty_replica_sees_the_others_example(mirrored):
    """An empty batch's mean is NaN, and would stay in a running statistic."""
    running = mirrored[0]["running"]
    np.testing.assert_allclose(running["totals"], running["expected"], atol=1e-5)


def test_shards_do_not_overlap_and_the_first_epoch_is_the_first(mirrored):
    seen = mirrored[0]["seen"]
    assert seen["epochs"] == [list(range(11))] * 2
    assert seen["by fit"] == seen["by checkpoint.fit"] == seen["expected"]


def test_several_replicas_make_one_step_at_once(mirrored):
    chosen, *refused = mirrored[0]["together"]
    assert chosen == 1 and len(refused) == 3
    assert all("to be 1 on several" in x or "=1 on several" in x for x in refused)


def test_two_replicas_go_on_to_the_last_bit(mirrored):
    """With dropout, k = 2, schedules, Adam, an average; from the middle of an epoch."""
    whole, resumed = mirrored[0]["resumed"]
    assert whole["steps"] == resumed["steps"] == 10
    assert len(whole["state"]) > 30
    assert whole["state"] == resumed["state"]
    assert whole["logs"] == pytest.approx(resumed["logs"], rel=1e-6)


def test_an_overflow_on_any_replica_skips_one_networks_step_on_all(mirrored):
    for found in mirrored[0]["overflows"]:
        player, k = found["player"], found["k"]
        other = PLAYERS[player == "discriminator"]
        skipped = k if player == "discriminator" else 1
        assert found["equal"] and found["finite"]
        assert found["moved"] == {player: [False] * 2, other: [True] * 2}
        assert found["skipped"] == {player: skipped, other: 0}
        assert found["halved"] == {player: [skipped] * 2, other: [0] * 2}
        assert found["average moved"] == (player == "discriminator")


def test_what_two_replicas_trained_is_saved_loaded_and_exported(mirrored):
    report, folder = mirrored
    with np.load(folder / "two.npz") as file:
        expected = dict(file)
    gan = keras.saving.load_model(folder / "gan.keras")  # on one device
    np.testing.assert_allclose(
        gan.generate(5, seed=1), expected["samples"], atol=2e-3
    )  # float16, in another order
    np.testing.assert_allclose(expected["exported"], expected["samples"], atol=2e-3)
    slots = [v.numpy().ravel() for v in gan.generator_optimizer.variables]
    np.testing.assert_array_equal(np.concatenate(slots), expected["slots"])
    assert report["loaded"] == 2  # and trained on, under the strategy


def test_what_cannot_be_under_a_strategy_is_refused(mirrored):
    xla, accumulated, scope = mirrored[0]["refused"]
    assert "`jit_compile` to be 'auto' or False on several replicas" in xla
    assert "without gradient_accumulation_steps on several replicas" in accumulated
    assert "in the scope of the strategy that the GAN was made in, Mirrored" in scope


# === Two workers ===


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    processes = [start("worker", folder, TF_CONFIG=config) for config in cluster(2)]
    return [report(output) for output in finish(*processes)], folder


def test_two_workers_end_with_the_weights_of_two_replicas(workers, mirrored):
    (first, second), _ = workers
    assert first["weights"] == second["weights"]
    expected = mirrored[0]["scenarios"]["k=3"]["two"]
    for a, b in zip(first["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for logs in ("logs", "evaluated"):
        assert first[logs] == pytest.approx(second[logs], abs=1e-6)
        assert first[logs] == pytest.approx(expected[logs], abs=1e-5)


def test_the_chief_saves_and_exports_by_itself(workers):
    (first, second), folder = workers
    assert first["samples"] == second["samples"]
    gan = keras.saving.load_model(folder / "chief.keras")
    np.testing.assert_allclose(gan.generate(3, seed=1), first["samples"], atol=1e-5)
    assert (folder / "chief" / "1" / "saved_model.pb").exists()


@pytest.mark.slow
def test_two_workers_make_one_run(tmp_path):
    """scripts/train.py in two processes: the chief alone leaves files."""
    folders = [tmp_path / str(index) for index in range(2)]
    processes = []
    for folder, config in zip(folders, cluster(2), strict=True):
        folder.mkdir()
        processes.append(
            subprocess.Popen(
                [
                    sys.executable, ROOT / "scripts" / "train.py", "--preset=ring8",
                    "--distribute=multi_worker", "--epochs=2", "--workdir=run",
                    "--set=evaluation_epochs=1", "--set=keep_best=modes_covered",
                    "--set=ema_decay=0.9",
                ],
                cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                env={**os.environ, "TF_CONFIG": config, "PYTHONPATH": str(ROOT)},
            )
        )  # fmt: skip
    outputs = finish(*processes)
    assert "Next: " in outputs[0] and not outputs[1]
    assert list(folders[1].iterdir()) == []
    run = folders[0] / "run"
    config = json.loads((run / "config.json").read_text())
    assert config["execution"]["replicas"] == 2
    lines = (run / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 200
    assert {"gan.keras", "best.keras", "samples"} <= {p.name for p in run.iterdir()}


def train_by_workers(workdirs, *flags):
    """scripts/train.py --resume=auto, a worker for each directory."""
    return [
        subprocess.Popen(
            [
                sys.executable, ROOT / "scripts" / "train.py",
                "--distribute=multi_worker", "--resume=auto", "--checkpoint_steps=20",
                f"--workdir={workdir}", *flags,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TF_CONFIG": config, "PYTHONPATH": str(ROOT)},
        )
        for workdir, config in zip(workdirs, cluster(len(workdirs)), strict=True)
    ]  # fmt: skip


@pytest.mark.slow
def test_workers_that_were_killed_go_on(tmp_path):
    """kill -9 of both, then the same command again: the state of an unbroken run.

    Of samples in one dimension, which callbacks draw too, on the chief and the other.
    """
    flags = ("--preset=gaussian1d", "--epochs=3")
    finish(*train_by_workers([tmp_path / "whole"] * 2, *flags))
    killed = train_by_workers([tmp_path / "killed"] * 2, *flags)
    deadline = time.monotonic() + 300
    while True:
        reached = checkpoint.newest(tmp_path / "killed" / "checkpoints")
        if reached and reached.step >= 100:
            break
        assert time.monotonic() < deadline and killed[0].poll() is None
        time.sleep(0.05)
    for process in killed:
        process.kill()
        process.communicate()
    chief, other = finish(*train_by_workers([tmp_path / "killed"] * 2, *flags))
    assert "Resuming after step " in chief and not other
    whole, resumed = (
        checkpoint.newest(tmp_path / name / "checkpoints")
        for name in ("whole", "killed")
    )
    assert whole.step == resumed.step == 3 * 84
    for name, value in whole.state.items():
        np.testing.assert_array_equal(value, resumed.state[name])
    assert set(whole.state) == set(resumed.state)


@pytest.mark.slow
def test_workers_that_find_other_checkpoints_are_refused(tmp_path):
    """A directory that is not shared: the chief would go on, and the other start."""
    shared, own = tmp_path / "shared", tmp_path / "own"
    finish(*train_by_workers([shared] * 2, "--preset=gaussian1d", "--epochs=1"))
    processes = train_by_workers([shared, own], "--preset=gaussian1d", "--epochs=2")
    try:
        errors = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, text, step in zip(processes, errors, (84, 0), strict=True):
        assert process.returncode == 1
        line = text.strip().splitlines()[-1]
        assert line.startswith("error: The workers found different checkpoints: ")
        assert f"step {step} here" in line


# === Names ===


def test_strategies_by_name(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert replicas.strategy("none") is tf.distribute.get_strategy()
    assert replicas.is_chief(replicas.strategy("none"))
    assert isinstance(replicas.strategy("mirrored"), tf.distribute.MirroredStrategy)
    assert replicas.is_chief(replicas.strategy("mirrored"))
    with pytest.raises(ValueError, match="among none, mirrored, multi_worker"):
        replicas.strategy("tpu")
    with pytest.raises(ValueError, match="runtime.distribute to be one of mirrored"):
        experiments.get_preset("digits", {"distribute": "all"})


@pytest.mark.parametrize(
    "config",
    [
        "",
        "half a {",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_cluster_that_tf_config_does_not_name_is_refused(config, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config)
    with pytest.raises(ValueError, match="variable TF_CONFIG=.*Received: ") as error:
        replicas.strategy("multi_worker")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("jobs", "task", "chief"),
    [
        ({"worker": 2}, ("worker", 0), True),
        ({"worker": 2}, ("worker", 1), False),
        ({"chief": 1, "worker": 2}, ("worker", 0), False),
        ({"chief": 1, "worker": 2}, ("chief", 0), True),
    ],
)
def test_one_worker_is_the_chief(jobs, task, chief):
    spec = {job: [f"{job}{i}:1" for i in range(count)] for job, count in jobs.items()}

    class Strategy:
        cluster_resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec(spec), task_type=task[0], task_id=task[1]
        )

    assert replicas.is_chief(Strategy()) is chief


# === Kubernetes ===


@pytest.fixture(scope="module")
def manifest():
    """{kind: document} of training/kubernetes.yaml."""
    yaml = pytest.importorskip("yaml")
    documents = yaml.safe_load_all((ROOT / "training/kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_the_job_and_its_service_fit_each_other(manifest):
    job, service = manifest["Job"], manifest["Service"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    assert job["spec"]["completionMode"] == "Indexed"
    workers = int(env["WORKERS"])
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == workers == 2
    # Names of pods: the service's domain, before anyone is ready.
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert [port["port"] for port in service["spec"]["ports"]] == [
        port["containerPort"] for port in container["ports"]
    ]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims["runs"] == manifest["PersistentVolumeClaim"]["metadata"]["name"]
    folders = {flag.split("=")[0]: flag.split("=")[1] for flag in container["args"]}
    assert folders["--workdir"].startswith(mounts["runs"]["mountPath"])
    assert folders["--data_dir"] == mounts["data"]["mountPath"]


@pytest.mark.parametrize("index", [0, 1])
def test_the_jobs_command_makes_a_cluster_that_we_take(
    manifest, index, tmp_path, monkeypatch
):
    """Its very script, with a `keras-gan` that tells what it was started with."""
    (container,) = manifest["Job"]["spec"]["template"]["spec"]["containers"]
    program = tmp_path / "keras-gan"
    program.write_text('#!/bin/sh\necho "$TF_CONFIG"\necho ARGUMENTS "$@"\n')
    program.chmod(0o700)
    process = subprocess.run(
        [*container["command"], *container["args"]],
        capture_output=True,
        text=True,
        check=True,
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "WORKERS": "2",
            "JOB_COMPLETION_INDEX": str(index),
        },
    )
    config, arguments = process.stdout.split("ARGUMENTS ")
    name = manifest["Job"]["metadata"]["name"]
    (port,) = manifest["Service"]["spec"]["ports"]
    assert json.loads(config) == {
        "cluster": {"worker": [f"{name}-{i}.{name}:{port['port']}" for i in range(2)]},
        "task": {"type": "worker", "index": index},
    }
    replicas._check_cluster(config)  # raises for what `strategy` would refuse
    command, *flags = arguments.split()
    assert command == "train"
    assert flags == ["--distribute=multi_worker", *container["args"]]
    settings = dict(flag.removeprefix("--").split("=") for flag in flags)
    fields = {k: settings[k] for k in ("distribute", "batch_size")}
    assert (
        experiments.get_preset(settings["preset"], fields).runtime.distribute
        == "multi_worker"
    )
