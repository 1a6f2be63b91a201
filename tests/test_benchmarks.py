"""The benchmarks run, at a small size, and write what they print."""

import importlib.util
import json
import math
import subprocess
import sys
import time
import types

import keras
import numpy as np
import pytest

from keras_gan import GAN, datasets


def loaded(root, monkeypatch, name):
    path = root / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    # As for a script: its siblings can be imported.
    monkeypatch.syspath_prepend(str(path.parent))
    spec.loader.exec_module(module)
    return module


def run(root, monkeypatch, name, *arguments):
    module = loaded(root, monkeypatch, name)
    monkeypatch.setattr(sys, "argv", [module.__file__, *arguments])
    module.main()
    return module


SMALL = ("--tests=7", "--centres=60", "--features=9", "--sigma=0.3", "--rounds=2")


def test_parzen_prints_its_table_and_writes_it(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "parzen.json"
    run(root, monkeypatch, "parzen", *SMALL, f"--output={output}")
    printed = capsys.readouterr().out
    report = json.loads(output.read_text())
    names = ["keras_gan", "scikit-learn", "broadcast", "product alone"]
    assert list(report["rows"]) == names
    floor = report["rows"]["product alone"]["minimum_seconds"]
    for name in names:
        row = report["rows"][name]
        assert row["ratio_to_product"] == row["minimum_seconds"] / floor
        line = next(line for line in printed.splitlines() if line.startswith(name))
        assert f"{row['minimum_seconds']:.4f}" in line
    for name in names[:3]:
        assert report["rows"][name]["largest_relative_difference"] < 1e-10
    assert report["data"] == "uniform" and report["arguments"]["centres"] == 60


def test_parzen_reports_no_time_of_a_wrong_result(root, monkeypatch, capsys):
    from keras_gan import metrics

    right = metrics.parzen_log_likelihood
    monkeypatch.setattr(
        metrics, "parzen_log_likelihood", lambda *a, **k: right(*a, **k) * (1 + 1e-6)
    )
    with pytest.raises(SystemExit, match="^error: Expected keras_gan to agree"):
        run(root, monkeypatch, "parzen", *SMALL)
    assert capsys.readouterr().out == ""


def test_parzen_refuses_sizes_of_zero(root, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(root, monkeypatch, "parzen", "--rounds=0")
    assert "Expected --rounds > 0. Received: 0" in capsys.readouterr().err


@pytest.fixture
def small_mnist(monkeypatch, tmp_path):
    """Stands in for MNIST: the digits, and a classifier that is trained briefly."""
    from keras_gan import datasets, metrics

    train, test = (datasets.load("digits", split) for split in ("train", "test"))
    splits = {
        "train": train,
        "valid": test.subset(slice(0, None, 2), "test[0::2]"),
        "test": test.subset(slice(1, None, 2), "test[1::2]"),
    }
    monkeypatch.setattr(
        datasets, "load", lambda name, split, data_dir=None: splits[split]
    )
    monkeypatch.setattr(metrics.Classifier, "STEPS", 60)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))


def test_corruption_tables_and_figure(root, monkeypatch, capsys, tmp_path, small_mnist):
    output, figure = tmp_path / "corruption.json", tmp_path / "corruption.png"
    module = run(
        root, monkeypatch, "corruption", "--num_images=200",
        f"--output={output}", f"--figure={figure}",
    )  # fmt: skip
    printed = capsys.readouterr().out
    report = json.loads(output.read_text())
    assert report["num_images"] == 200
    assert figure.read_bytes()[:4] == b"\x89PNG"
    noise, classes, copies = report["rows"].values()
    assert [row["level"] for row in noise] == list(module.DEVIATIONS)
    assert [row["level"] for row in classes] == list(module.CLASSES)
    assert [row["distinct"] for row in copies] == [200, 100, 50, 12, 3]
    # The first level of each leaves the images as they are.
    for measure in module.MEASURES:
        assert noise[0][measure] == classes[0][measure] == copies[0][measure]
    # 1,078 digits hold fewer than 200 of one class: they repeat.
    assert classes[-1]["distinct"] < 200 == classes[0]["distinct"]
    assert f"{noise[-1]['frechet_distance']:.4g}" in printed
    for worst in (noise[-1], classes[-1], copies[-1]):
        assert worst["coverage"] < noise[0]["coverage"]
    with pytest.raises(SystemExit, match="--num_images from 10 to"):
        run(root, monkeypatch, "corruption", "--num_images=9")


def test_scoring_times_every_stage(root, monkeypatch, capsys, tmp_path, small_mnist):
    from keras_gan import metrics

    functions = metrics.prdc, metrics.parzen_estimate, metrics.Moments.update
    output = tmp_path / "scoring.json"
    run(
        root, monkeypatch, "scoring", "--num_samples=100", "--rounds=1",
        f"--output={output}",
    )  # fmt: skip
    report = json.loads(output.read_text())
    assert len(report["seconds"]) == 10
    assert min(report["seconds"].values()) > 0
    assert report["total_seconds"] == pytest.approx(sum(report["seconds"].values()))
    assert report["num_samples"] == 100 and report["scores"]["recall"] > 0
    printed = capsys.readouterr().out
    for stage in report["seconds"]:
        assert stage in printed
    # What was timed is again what it was.
    assert functions == (
        metrics.prdc,
        metrics.parzen_estimate,
        metrics.Moments.update,
    )


def run_alone(root, tmp_path, name, *arguments):
    """As a user runs it: a process of its own, whose workers import their siblings."""
    output = tmp_path / f"{name}.json"
    done = subprocess.run(
        [sys.executable, root / "benchmarks" / f"{name}.py", *arguments]
        + [f"--output={output}"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text()), done.stdout


@pytest.mark.slow
def test_train_step_times_each_way_beside_the_floor(root, tmp_path):
    ways = ["graph", "guide", "products"]
    if importlib.util.find_spec("torch"):
        ways.append("torch eager")
    report, printed = run_alone(
        root, tmp_path, "train_step", "--batch_sizes=3", "--discriminator_steps=2",
        "--rounds=2", "--seconds=0.001", f"--before={root}", "--ways", *ways,
    )  # fmt: skip
    ways.append("before")
    rows = {row["way"]: row for row in report["rows"]}
    assert sorted(rows) == sorted(ways)
    floor = rows["products"]["seconds"]
    for way, row in rows.items():
        # G 100-1200-1200-784, D maxout 784-1200, 240-1200, 240-1, and their biases.
        assert row["parameters"] == 2_502_784 + 1_232_641
        assert row["seconds"] == min(row["seconds_of_rounds"]) > 0
        assert row["ratio_to_products"] == pytest.approx(row["seconds"] / floor)
        assert row["ratio_to_graph"] == row["seconds"] / rows["graph"]["seconds"]
        assert any(line.startswith(way) for line in printed.splitlines())


# Both networks at width 16, by hand: D's kernels and biases, G's, and each of its batch
# normalisations' gamma, beta, mean and variance.
PICTURES = {
    "dcgan32": (
        100 * 16 * 64 + 4 * 64 + 16 * 64 * 32 + 4 * 32 + 16 * 32 * 16 + 4 * 16
        + 16 * 16 * 3 + 3,
        16 * 3 * 16 + 16 + 16 * 16 * 32 + 32 + 16 * 32 * 64 + 64 + 16 * 64 + 1,
    ),
    "resnet32": (
        101 * 16 * 16 + 3 * (8 * 16 + 2 * (9 * 16 + 1) * 16 + 17 * 16)
        + 4 * 16 + 9 * 16 * 3 + 3,
        (9 * 3 + 1) * 8 + (9 * 8 + 1) * 8 + (3 + 1) * 8
        + 2 * (9 * 8 + 1) * 8 + (8 + 1) * 8 + 4 * (9 * 8 + 1) * 8 + 9,
    ),
}  # fmt: skip
# D's channels, of which spectral normalisation keeps a vector a layer.
LEFT_VECTORS = {"dcgan32": 16 + 32 + 64 + 1, "resnet32": 10 * 8 + 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    "networks, additions, torch_ways",
    [
        ("dcgan32", ["none", "r1", "spectral"], ["torch eager"]),
        ("dcgan32", ["lazy_r1", "diffaugment"], ["torch eager"]),
        # Compiled, the gradient's own gradient is one of another form.
        ("dcgan32", ["r1"], ["torch.compile"]),
        ("resnet32", ["r1", "spectral"], ["torch eager"]),
    ],
)
def test_train_step_times_pictures(root, tmp_path, networks, additions, torch_ways):
    ways = ["graph", "products"]
    if importlib.util.find_spec("torch"):
        ways += torch_ways
    report, printed = run_alone(
        root, tmp_path, "train_step", f"--networks={networks}", "--width=16",
        "--batch_sizes=3", "--rounds=1", "--seconds=0.001", "--additions", *additions,
        "--ways", "guide", *ways,
    )  # fmt: skip
    rows = {(row["addition"], row["way"]): row for row in report["rows"]}
    expected = [(addition, way) for addition in additions for way in ways]
    # The guide's GAN has no additions.
    expected += [("none", "guide")] * ("none" in additions)
    assert sorted(rows) == sorted(expected)
    for (addition, way), row in rows.items():
        generator, discriminator = PICTURES[networks]
        discriminator += LEFT_VECTORS[networks] * (addition == "spectral")
        assert row["parameters_of_networks"] == [generator, discriminator]
        assert row["parameters"] == generator + discriminator
        assert row["width"] == 16 and row["seconds"] > 0
        assert any(line.startswith(way) for line in printed.splitlines())
        # That they agree is checked before anything is timed.
        compared = len(ways) > 2 and addition in ("none", "r1")
        assert ("losses" in row) == compared
    for addition in additions:
        assert f"{networks}, width 16, {addition}, k = 1, m = 3" in printed


class Stub:
    """A worker that answers the same to everything."""

    def __init__(self, **answer):
        self.answer = answer
        self.requests = []

    def ask(self, **request):
        self.requests.append(request)
        return dict(self.answer)


def picture_case(train_step, addition="none", **others):
    return train_step.contestant.Case("dcgan32", 1, 4, addition=addition, **others)


@pytest.fixture
def train_step(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("train_step")


def test_train_step_times_no_other_losses(train_step):
    same, other = [1.4, 0.7], [1.4, 0.70008]
    case = picture_case(train_step)
    workers = {"graph": Stub(losses=same), "torch eager": Stub(losses=other)}
    with pytest.raises(SystemExit, match="^error: Expected the same losses of D and G"):
        train_step.check_losses(case, workers)
    workers["torch eager"] = Stub(losses=[1.4, 0.70006])
    assert train_step.check_losses(case, workers)["losses"] == same
    # Nor one that is not a number.
    workers["torch eager"] = Stub(losses=[math.nan, 0.7])
    with pytest.raises(SystemExit, match="Received: .* and .nan, 0.7. of PyTorch"):
        train_step.check_losses(case, workers)
    # Losses that draw cannot be compared.
    assert (
        train_step.check_losses(picture_case(train_step, "diffaugment"), workers) == {}
    )


def test_train_step_times_no_other_networks(train_step):
    rows = {"graph": {"parameters": [5, 7]}, "torch eager": {"parameters": [7, 5]}}
    message = "G and D: graph 5 and 7; torch eager 7 and 5"
    with pytest.raises(SystemExit, match=message):
        train_step.check_parameters(rows)


def test_train_step_times_whole_turns_of_a_lazy_penalty(train_step, capsys):
    """Windows are multiples of 16 steps, so that each has its share of R1."""
    for addition, unit in (("none", 1), ("r1", 1), ("lazy_r1", 16)):
        worker = Stub(parameters=[5, 7], seconds=0.25)
        arguments = types.SimpleNamespace(rounds=2, seconds=0.6)
        case = picture_case(train_step, addition)
        (row,) = train_step.measured(case, {"graph": worker}, arguments)
        steps = [request.get("steps") for request in worker.requests]
        assert steps == [None, unit, 3 * unit, 3 * unit, None]
        assert row["seconds"] == 0.25 / (3 * unit)


def test_train_step_augments_alike_in_pytorch(root, monkeypatch):
    """The shares of zeros, and the means and spreads, of both versions agree."""
    torch = pytest.importorskip("torch")
    from keras_gan import augmentation, losses, samples

    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    pictures = importlib.import_module("contestant_torch_pictures")
    ours = augmentation.DiffAugment()
    spec = samples.SampleSpec((16, 12, 3), "image", (-1.0, 1.0))
    ours.prepare(spec, losses.get("non_saturating"))
    random = np.random.default_rng(0)
    # Blocks, bright above and with colours of their own: no pixel is 0 by itself.
    images = random.uniform(0.6, 1.0, (4000, 16, 12, 3)).astype(np.float32)
    images[:, 8:] -= 0.4
    images[..., 1] *= 0.5
    torch.manual_seed(0)
    theirs = pictures.diffaugment(torch.from_numpy(images).permute(0, 3, 1, 2))
    found = (
        np.asarray(ours(images, keras.ops.convert_to_tensor([1, 2]))),
        theirs.permute(0, 2, 3, 1).numpy(),
    )
    for statistic in (
        lambda x: (x == 0).mean(),
        lambda x: (x == 0).mean((0, 3)),  # of each place
        lambda x: x.mean((0, 1, 2)),
        lambda x: x.std((0, 1, 2)),
        lambda x: x.mean((1, 2, 3)).std(),
        lambda x: x.std((1, 2)).mean(0),
    ):
        a, b = (statistic(x) for x in found)
        np.testing.assert_allclose(a, b, atol=0.04 if np.ndim(a) == 2 else 0.01)


def test_train_step_counts_the_products_of_r1(train_step):
    none, r1, lazy = (
        train_step.flop_of(picture_case(train_step, addition))
        for addition in ("none", "r1", "lazy_r1")
    )
    _, discriminator = train_step.forward_products(picture_case(train_step))
    assert r1 - none == 2 * 4 * 3 * discriminator
    assert lazy - none == (r1 - none) / 16


@pytest.mark.parametrize(
    "arguments",
    [
        ["--additions=r1"],
        ["--width=8", "--networks", "dcgan32", "mnist_mlp"],
        ["--networks=conv64", "--additions", "none", "spectral"],
    ],
)
def test_train_step_refuses_additions_of_other_networks(
    train_step, monkeypatch, capsys, arguments
):
    monkeypatch.setattr(sys, "argv", ["train_step.py", *arguments])
    with pytest.raises(SystemExit):
        train_step.main()
    message = "Expected --width and --additions with --networks of dcgan32, dcgan64"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "networks, width",
    [
        *((name, None) for name in ("digits_mlp", "mnist_mlp", "cifar_conv", "conv64")),
        *((name, width) for name in ("dcgan32", "dcgan64") for width in (None, 5)),
        *(("resnet32", width) for width in (None, 16, 7)),
    ],
)
def test_train_step_counts_the_products_of_its_networks(
    root, train_step, networks, width
):
    """The counts of the table against those of the layers themselves."""
    contestant_tensorflow = importlib.import_module("contestant_tensorflow")
    case = train_step.contestant.Case(networks, 1, 1, width)
    for network, count in zip(
        contestant_tensorflow.build_networks(case),
        train_step.forward_products(case),
        strict=True,
    ):
        products = 0
        for layer in contestant_tensorflow.contestant.leaves(network):
            kernel = getattr(layer, "kernel", None)
            if kernel is None:
                continue
            positions = 1
            if isinstance(layer, keras.layers.Conv2DTranspose):
                positions = math.prod(layer.input.shape[1:3])
            elif len(kernel.shape) == 4:
                positions = math.prod(contestant_tensorflow.linear_positions(layer))
            products += positions * math.prod(kernel.shape)
        assert products == count


def test_input_puts_fit_beside_the_bare_step(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "input.json"
    run(
        root, monkeypatch, "input", "--presets=digits", "--rounds=2", "--steps=3",
        f"--output={output}",
    )  # fmt: skip
    (row,) = json.loads(output.read_text())["rows"]
    assert row["batch_size"] == 100
    ways = row["milliseconds"]
    assert list(ways) == [
        *("pipeline alone", "with labels", "step, batch ready", "step, fed", "fit")
    ]
    assert row["fit_to_bare_step"] == ways["fit"] / ways["step, batch ready"]
    printed = capsys.readouterr().out
    for way, value in ways.items():
        assert f"{way:20}{value:10.3f}" in printed


@pytest.mark.slow
def test_startup_times_its_stages_in_processes_of_their_own(root, tmp_path):
    report, printed = run_alone(root, tmp_path, "startup", "--rounds=1")
    assert sorted(report["rows"]) == ["XLA", "graph"]
    for stages in report["rows"].values():
        assert stages["import tensorflow"] > 0.1
        # What is traced and compiled once is not done again.
        assert stages["first step: trace, compile, run"] > 5 * stages["second step"]
    for stage in stages:
        assert stage in printed


@pytest.mark.slow
def test_memory_tells_peaks_and_growth(root, tmp_path):
    report, printed = run_alone(
        root, tmp_path, "memory", "--presets", "ring8", "mnist", "--steps=20"
    )
    small, large = report["rows"]
    assert small["preset"] == "ring8" and small["parameters"] == 33_666 + 33_537
    assert report["imports_mib"] < small["mib"] < large["mib"]
    assert report["growth"]["preset"] == "ring8" and len(report["growth"]["mib"]) == 11
    assert report["growth"]["steps_made"] == 21
    assert "3,735,425" in printed


@pytest.mark.slow
def test_memory_of_an_evaluation_stays_below_its_limit(root, tmp_path):
    report, printed = run_alone(
        root, tmp_path, "memory", "--evaluation", "--pictures=20"
    )
    labelled, whole = report["rows"]
    assert labelled["features"] == "classifier" and whole["features"] == "pixels"
    assert labelled["rows"] == ["samples", "samples, raw weights", "training examples"]
    for row in report["rows"]:
        assert row["num_samples"] == 10_000
        # The samples alone take 469 MiB.
        assert report["imports_mib"] + 469 < row["mib"] < 3 * 1024
    assert "below the limit of 3,072 MiB" in printed


@pytest.mark.slow
def test_scaling_varies_one_size_at_a_time(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "scaling.json"
    module = run(
        root, monkeypatch, "scaling", "--discriminator_steps=3", "--batch_sizes=10",
        "--widths=50", "--rounds=2", "--seconds=0.001", f"--output={output}",
        "--processes",
    )  # fmt: skip
    report = json.loads(output.read_text())
    assert report["process_rows"] == []
    sizes = [(row["k"], row["batch_size"], row["width"]) for row in report["rows"]]
    assert sizes == [(3, 100, 1200), (1, 10, 1200), (1, 100, 50), (1, 100, 1200)]
    assert min(row["milliseconds"] for row in report["rows"]) > 0
    costs = {module.Point(k=k): 5.0 + 3.0 * k for k in (1, 2, 5)}
    costs[module.Point(batch_size=7)] = 1000.0
    assert module.k_slope(costs) == pytest.approx(3.0)
    assert "One more discriminator update costs" in capsys.readouterr().out


@pytest.mark.slow
def test_scaling_times_one_process_and_two(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "scaling.json"
    run(
        root, monkeypatch, "scaling", "--discriminator_steps=2", "--batch_sizes=10",
        "--widths=50", "--rounds=1", "--seconds=0.001", "--processes", "1", "2",
        "--process_batch_sizes", "4", "6", f"--output={output}",
    )  # fmt: skip
    rows = json.loads(output.read_text())["process_rows"]
    assert [(row["batch_size"], row["processes"]) for row in rows] == [
        (4, 1), (4, 2), (6, 1), (6, 2),
    ]  # fmt: skip
    assert min(row["milliseconds"] for row in rows) > 0


def test_scaling_has_a_core_for_each_process(root, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(root, monkeypatch, "scaling", "--processes", "100000")
    assert "Expected --processes up to the" in capsys.readouterr().err


def test_precision_compares_means_by_welchs_interval(
    root, monkeypatch, capsys, tmp_path
):
    """Runs that are there are not trained again; the interval is SciPy's for means."""
    from scipy import stats

    rng = np.random.default_rng(0)
    drawn = {}
    for policy, mean in (("float32", 2.0), ("mixed_bfloat16", 2.01)):
        drawn[policy] = rng.normal(mean, 0.02, 4)
        for seed, value in enumerate(drawn[policy]):
            row = {"precision": value, "recall": -10 * value, "coverage": None}
            row["class_shares"] = [0.25, 0.75]
            table = {"log_likelihood": -160.0 - seed, "top_probability": 0.9 + seed}
            table["within_class_distance"] = 36.0 + value
            scores = {"rows": {"samples": row}, "digits": {"rows": {"samples": table}}}
            folder = tmp_path / "runs" / f"{policy}_{seed}"
            folder.mkdir(parents=True)
            (folder / "scores.json").write_text(json.dumps(scores))
            experiment = {
                "name": "digits",
                "train": {"seed": seed, "epochs": 500},
                "runtime": {"mixed_precision": policy},
            }
            config = {"experiment": experiment}
            (folder / "config.json").write_text(json.dumps(config))
    output = tmp_path / "precision.json"
    run(
        root, monkeypatch, "precision", f"--workdir={tmp_path / 'runs'}",
        "--policies", *drawn, "--seeds", "0", "1", "2", "3", f"--output={output}",
    )  # fmt: skip
    found = json.loads(output.read_text())["differences"]["mixed_bfloat16"]
    assert set(found) == {
        "precision", "recall", "smallest_class_share", "digits/log_likelihood",
        "digits/top_probability", "digits/within_class_distance",
    }  # fmt: skip
    one, other = drawn.values()
    error = np.sqrt(one.var(ddof=1) / 4 + other.var(ddof=1) / 4)
    freedom = error**4 / (
        ((one.var(ddof=1) / 4) ** 2 + (other.var(ddof=1) / 4) ** 2) / 3
    )
    half = stats.t.ppf(0.975, freedom) * error
    difference = other.mean() - one.mean()
    expected = 100 * np.array([difference, difference - half, difference + half])
    np.testing.assert_allclose(found["precision"]["percent"], expected / one.mean())
    # Of a negative mean too, more is positive.
    np.testing.assert_allclose(
        found["recall"]["percent"], -expected[[0, 2, 1]] / one.mean()
    )
    table = capsys.readouterr().out.split("mixed_bfloat16 - float32, 4 seeds each")[1]
    verdicts = {line.split()[0]: line for line in table.splitlines()[2:]}
    assert verdicts["precision"].endswith("]  inside +-10")
    # Seeds of .9 to 3.9, whatever the policy: their mean is not known within 10%.
    assert verdicts["digits/top_probability"].endswith("]  not inside +-10")
    with pytest.raises(SystemExit, match=r"'epochs': 2}\. Received: .*'epochs': 500"):
        run(
            root, monkeypatch, "precision", f"--workdir={tmp_path / 'runs'}",
            "--policies", "float32", "--seeds", "0", "--epochs=2",
        )  # fmt: skip


@pytest.mark.slow
def test_precision_trains_what_is_not_there(root, monkeypatch, tmp_path):
    output = tmp_path / "precision.json"
    run(
        root, monkeypatch, "precision", f"--workdir={tmp_path / 'runs'}",
        "--policies", "float32", "mixed_float16", "--seeds", "0", "1", "--epochs=2",
        f"--output={output}",
    )  # fmt: skip
    found = json.loads(output.read_text())
    assert [len(rows) for rows in found["scores"].values()] == [2, 2]
    config = json.loads(
        (tmp_path / "runs" / "mixed_float16_1" / "config.json").read_text()
    )
    assert config["execution"]["dtype_policy"] == "mixed_float16"
    assert config["experiment"]["train"]["seed"] == 1


def test_profile_tells_the_kinds_of_operations(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "profile.json"
    run(
        root, monkeypatch, "profile_step", "--batch_size=7", "--steps=2",
        f"--output={output}",
    )  # fmt: skip
    report = json.loads(output.read_text())
    kinds = report["milliseconds_of_kinds"]
    assert set(kinds) == {
        "products", "optimizer updates", "maxout", "random numbers",
        "sums of gradients", "other element-wise work",
    }  # fmt: skip
    assert min(kinds.values()) > 0
    names = report["milliseconds_of_operations"]
    assert sum(kinds.values()) == pytest.approx(sum(names.values()))
    # One kernel a variable: three layers of G, three of D, kernels and biases.
    updates = [name for name in names if "ResourceApply" in name]
    assert len(updates) == 12
    assert "products" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [False, True])
def test_resume_compares_what_the_trainings_left(
    root, monkeypatch, capsys, tmp_path, damage
):
    """Trainings that end before they can be killed: it says so, and how they differ."""
    from keras_gan.runs import checkpoint

    class Ended:
        def poll(self):
            return 0

        def wait(self, timeout=None):
            return 0

        def kill(self):
            pass

    def start(workdir, arguments):
        value = np.zeros(3, np.float32)
        value[1] = 1e-45 if damage and workdir.name == "broken" else 0.0
        step = checkpoint.Checkpoint(800, {"a": value, "b": np.array(7)}, {})
        checkpoint.write(workdir / "checkpoints" / "step_000000800.safetensors", step)
        line = {"epoch": 1, "seconds": time.monotonic()}
        (workdir / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        output = workdir.with_suffix(".txt")
        output.write_text("Training digits\nGoing on after step 5, from x\n")
        return Ended(), output

    module = loaded(root, monkeypatch, "resume")
    monkeypatch.setattr(module, "start", start)
    output = tmp_path / "resume.json"
    monkeypatch.setattr(sys, "argv", [module.__file__, f"--output={output}"])
    if damage:
        with pytest.raises(SystemExit, match="^error: Expected the same training"):
            module.main()
    else:
        module.main()
    report = json.loads(output.read_text())
    assert report["variables_that_differ"] == int(damage)
    assert report["same_logs"] and report["kills"] == 0 and report["steps"] == 800
    assert report["rows"][0]["resumed_from"] == 5
    assert f"variables that differ: {int(damage)} of 2" in capsys.readouterr().out


@pytest.mark.slow
def test_resume_kills_and_finds_no_difference(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "resume.json"
    # This seed's moments: 68 and 32 steps on, far from the end at step 360.
    run(
        root, monkeypatch, "resume", "--kills=2", "--epochs=60", "--longest=0.2",
        "--checkpoint_steps=7", "--seed=1", f"--output={output}",
    )  # fmt: skip
    report = json.loads(output.read_text())
    assert report["kills"] == 2 and report["steps"] == 360
    assert report["variables_that_differ"] == 0 and report["same_logs"]
    assert "variables that differ: 0 of" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(root, monkeypatch, "resume", "--kills=0")
    assert "Expected --kills > 0. Received: 0" in capsys.readouterr().err


# === fid ===


def fid_with_stand_ins(root, monkeypatch, error=0.0):
    """The benchmark, whose packages give the colours' means, off by `error`."""
    module = loaded(root, monkeypatch, "fid")

    class Package:
        in_float64 = False

        def __init__(self, path, resize=None):
            self.error = 0.0 if resize else error

        def features(self, images):
            return images.mean(axis=(1, 2)) + self.error

        def scores(self, real, fake):
            return {"fid": float(np.abs(real.mean() - fake.mean())), "kid": 0.0}

    for name in ("Ours", "TorchFidelity", "PytorchFid"):
        monkeypatch.setattr(module, name, Package)
    monkeypatch.setattr(module, "version", lambda name: "0")
    monkeypatch.setattr(module, "random_weights", lambda seed: {})
    torch = types.SimpleNamespace(__version__="0", save=lambda tensors, path: None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    for name in ("torch_fidelity", "pytorch_fid", "pytorch_fid.inception"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    return module


def test_fid_compares_features_and_scores(root, monkeypatch, capsys, tmp_path):
    module = fid_with_stand_ins(root, monkeypatch, error=1e-4)
    output = tmp_path / "fid.json"
    monkeypatch.setattr(
        sys, "argv", ["fid.py", "--num_images=40", f"--output={output}"]
    )
    module.main()
    report = json.loads(output.read_text())
    assert list(report["rows"]) == ["torch-fidelity", "pytorch-fid"]
    for row in report["rows"].values():
        features = row["features"]
        assert features["largest_difference"] == pytest.approx(1e-4, rel=1e-6)
        assert 20 < features["standard_deviation"] < 100
        assert row["fid"]["relative"] < 1e-10 and row["fid"]["ours"] > 0
        assert row["fid"]["relative_float64"] < 1e-10
    printed = capsys.readouterr().out
    assert "pytorch-fid: features differ by at most 1.00e-04" in printed
    assert f"{row['fid']['ours']:.7g}" in printed


def test_fid_ends_with_an_error_where_features_differ(root, monkeypatch):
    module = fid_with_stand_ins(root, monkeypatch, error=0.1)
    monkeypatch.setattr(sys, "argv", ["fid.py", "--num_images=40"])
    with pytest.raises(SystemExit, match="features within 1e-4 of torch-fidelity's"):
        module.main()


def test_fid_without_the_other_packages_names_the_extra(root, monkeypatch, capsys):
    for missing in ("torch", "torch_fidelity", "pytorch_fid"):
        module = fid_with_stand_ins(root, monkeypatch)
        monkeypatch.setitem(sys.modules, missing, None)
        monkeypatch.delitem(sys.modules, f"{missing}.inception", raising=False)
        monkeypatch.setattr(sys, "argv", ["fid.py"])
        with pytest.raises(SystemExit, match=rf"^error: {missing} is .*\[benchmarks\]"):
            module.main()
    monkeypatch.setattr(sys, "argv", ["fid.py", "--num_images=9"])
    with pytest.raises(SystemExit):
        module.main()
    assert "Expected --num_images >= 10. Received: 9" in capsys.readouterr().err


def test_fid_draws_weights_of_the_networks_shapes(root, monkeypatch):
    from keras_gan.metrics.features import inception_2015

    module = loaded(root, monkeypatch, "fid")
    weights = module.random_weights(0)
    assert {n: w.shape for n, w in weights.items()} == inception_2015.shapes()
    assert module.images(3, 60, 0).shape == (3, 32, 32, 3)
    assert not np.array_equal(module.images(3, 60, 0), module.images(3, 60, 1))


@pytest.mark.slow
def test_augmentation_is_timed_beside_none(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "augmentation.json"
    run(
        root, monkeypatch, "augmentation", "--sizes=8", "--batch_size=4", "--rounds=2",
        f"--output={output}",
    )  # fmt: skip
    rows = json.loads(output.read_text())
    assert [row["augmentation"] for row in rows] == ["none", "diffaugment", "ada"] * 2
    assert [row["r1"] for row in rows] == [False] * 3 + [True] * 3
    for row in rows:
        assert row["milliseconds"] > 0
        assert (row["ratio"] == 1) == (row["augmentation"] == "none")
    assert "diffaugment" in capsys.readouterr().out


@pytest.mark.slow
def test_ablation_runs_each_cell_once_and_goes_on(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "ablation.jsonl"
    arguments = (
        *("--steps=8", "--seeds=1", "--losses", "wasserstein", "relativistic"),
        *("--stabilisers", "r1_r2", "spectral", f"--output={output}"),
    )
    run(root, monkeypatch, "ablation", *arguments)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == 4 and all(row["scores"] for row in rows)
    table = capsys.readouterr().out.split("\n| |")[1].splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == [
        "| wasserstein",
        "| relativistic",
    ]
    run(root, monkeypatch, "ablation", *arguments)
    assert output.read_text().count("\n") == 4
    assert capsys.readouterr().out.split("| |")[1].splitlines() == table


@pytest.mark.slow
def test_a_rare_class_with_and_without_balanced_batches(
    root, monkeypatch, capsys, tmp_path
):
    output = tmp_path / "rare_class.jsonl"
    arguments = (
        *("--preset=digits_conditional", "--steps=10", "--label=3"),
        *("--examples=25", f"--output={output}"),
    )
    module = run(root, monkeypatch, "rare_class", *arguments)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["balanced"] for row in rows] == [False, True]
    for row in rows:
        # Real threes are threes, and the few are among the many.
        real, few = (row["scores"][name] for name in ("training images", "examples"))
        assert real["class_accuracy"] > 0.95 and real["coverage"] > few["coverage"]
        assert few["class_accuracy"] > 0.9
    printed = capsys.readouterr().out
    assert printed.count("\n| samples, ") == 2
    run(root, monkeypatch, "rare_class", *arguments)
    assert capsys.readouterr().out == printed and output.read_text().count("\n") == 2
    data = datasets.load("digits")
    few = module.without_most(data, 3, 25)
    assert (few.labels == 3).sum() == 25
    assert len(data) - len(few) == (data.labels == 3).sum() - 25


@pytest.mark.slow
def test_runs_are_compared_on_images_of_equal_contrast(
    root, monkeypatch, capsys, tmp_path
):
    from keras_gan import experiments, runs

    experiment = experiments.get_preset("digits", {"train.epochs": 1})
    path = runs.train(runs.Run(tmp_path / "run", experiment)).path
    monkeypatch.setenv("HOME", str(tmp_path))
    arguments = (f"--model={path}", "--dataset=digits", "--num_samples=500")
    module = run(root, monkeypatch, "cifar10", *arguments)
    assert f"| {path} | " in capsys.readouterr().out
    # The contrast of samples makes no difference, but for rounding.
    ours = dict(module.scores([path], "digits", None, 500, 0)[1])
    generate = GAN.generate
    monkeypatch.setattr(
        GAN,
        "generate",
        lambda *given, **options: 0.2 + 0.5 * generate(*given, **options),
    )
    paler = dict(module.scores([path], "digits", None, 500, 0)[1])
    for column in module.COLUMNS:
        found, expected = paler[str(path)][column], ours[str(path)][column]
        assert found == pytest.approx(expected, rel=1e-2)
    distance = "frechet_distance"
    assert ours["training images"][distance] < ours[str(path)][distance] / 4


@pytest.mark.slow
def test_resampling_scores_each_run_once(root, monkeypatch, capsys, tmp_path):
    from keras_gan import experiments, metrics, runs

    monkeypatch.setattr(metrics.Classifier, "STEPS", 60)
    settings = {"train.epochs": 1, "train.sample_epochs": 1}
    paths = [tmp_path / name for name in ("ring8", "digits")]
    for path in paths:
        preset = experiments.get_preset(path.name, settings)
        runs.train(runs.Run(path, preset))
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    output, figure = tmp_path / "resampling.jsonl", tmp_path / "samples.png"
    for path in paths:
        arguments = (
            *(f"{path}", "--steps=3", "--batch_size=50", "--num_samples=40"),
            *("--num_steps=3", "--percentile=50", f"--output={output}"),
        )
        run(root, monkeypatch, "resampling", *arguments, f"--figure={figure}")
        printed = capsys.readouterr().out
        assert figure.read_bytes()[:4] == b"\x89PNG"
        figure.unlink()
        row = json.loads(output.read_text().splitlines()[-1])
        assert row["model"] == str(path) and 0 < row["auc"] < 1
        assert list(row["scores"]) == [
            "plain", "training examples", "rejection", "metropolis_hastings",
            "langevin",
        ]  # fmt: skip
        assert 0 < row["scores"]["rejection"]["acceptance"] <= 1
        assert printed.count("\n| ") == 5
        run(root, monkeypatch, "resampling", *arguments)
        assert capsys.readouterr().out == printed
    # What the data score is better than what an untrained generator does.
    points, images = (json.loads(line) for line in output.read_text().splitlines())
    names = "plain", "training examples"
    plain, real = (points["scores"][name]["high_quality_share"] for name in names)
    assert plain < 0.5 < 0.9 < real
    plain, real = (images["scores"][name]["frechet_distance"] for name in names)
    assert real < plain


@pytest.mark.slow
def test_few_labels_on_features_pixels_and_latents(root, monkeypatch, capsys, tmp_path):
    from keras_gan import experiments, inference, networks, runs

    experiment = experiments.get_preset("digits", {"train.epochs": 2})
    runs.train(runs.Run(tmp_path / "run", experiment))
    output = tmp_path / "few_labels.jsonl"
    arguments = (
        *(f"--run={tmp_path / 'run'}", f"--output={output}", "--num_labels=20,50"),
        *("--draws=3", "--choose_with=20"),
    )
    run(root, monkeypatch, "few_labels", *arguments)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    printed = capsys.readouterr().out
    of_train = [row for row in rows if row["on"] == "train"]
    assert len(of_train) >= 2 and len(rows) == len(of_train) + 2 * 3
    best = max(of_train, key=lambda row: np.mean(row["accuracies"]))["layer"]
    for row in rows:
        assert len(row["accuracies"]) == 3
        if row["on"] == "test":
            # Twenty labels of ten digits say much, and fifty more.
            assert row["layer"] == (None if row["features"] == "pixels" else best)
            assert np.mean(row["accuracies"]) > 0.4
    few, more = (
        [row for row in rows if row["on"] == "test" and row["num_labels"] == number]
        for number in (20, 50)
    )
    for before, after in zip(few, more, strict=True):
        assert np.mean(before["accuracies"]) < np.mean(after["accuracies"])
    pixels = next(row for row in more if row["features"] == "pixels")
    line = next(line for line in printed.splitlines() if line.startswith("| pixels"))
    assert f"{np.mean(pixels['accuracies']):.1%}" in line
    run(root, monkeypatch, "few_labels", *arguments)
    assert capsys.readouterr().out == printed
    # The latents of an encoder that saw hardly anything say less than pixels.
    gan = runs.Run.open(tmp_path / "run").gan()
    network = networks.encoder(gan.spec, gan.latent_prior.latent_dim, seed=0)
    encoder = inference.Encoder(gan, network, seed=0)
    encoder.compile("adam")
    encoder.fit(steps_per_epoch=5, verbose=0)
    encoder.save(tmp_path / "encoder.keras")
    given = f"--encoder={tmp_path / 'encoder.keras'}"
    run(root, monkeypatch, "few_labels", *arguments, given)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    found = [row for row in rows if row["features"] == "latents of the encoder"]
    assert [row["num_labels"] for row in found] == [20, 50]
    assert 0.1 < np.mean(found[1]["accuracies"]) < np.mean(pixels["accuracies"])


@pytest.mark.slow
def test_a_bigan_is_scored_by_the_nearest_neighbours_of_its_latents(
    root, monkeypatch, capsys, tmp_path
):
    output = tmp_path / "bigan.jsonl"
    settings = {"dataset": "digits", "networks.units": 16, "epochs": 2}
    arguments = (
        *("--split=train", f"--settings={json.dumps(settings)}", "--held_out"),
        *("--first_seed=5", "--seeds=1", f"--output={output}"),
    )
    module = run(root, monkeypatch, "bigan", *arguments)
    (row,) = (json.loads(line) for line in output.read_text().splitlines())
    assert row["seed"] == 5 and row["logs"]["encoder_loss"] > 0
    # Digits of 8x8 pixels are told apart by these.
    assert row["accuracy"]["pixels"] > 0.95
    assert 0.2 < row["accuracy"]["latents"] <= 1
    assert f"| {row['accuracy']['latents']:.2%} |" in capsys.readouterr().out
    known = np.float32([[0, 0], [3, 0], [0, 3]])
    points = np.float32([[2, 0], [0, 2], [0.1, 0.1], [0, 1]])
    found = module.accuracy(known, np.array([7, 8, 9]), points, [8, 9, 7, 9])
    assert found == 0.75
    assert -3 < row["value"] < 0


def test_a_bigans_value_is_that_at_the_best_level_of_its_logits(root, monkeypatch):
    module = loaded(root, monkeypatch, "bigan")
    level = np.full(4, 7.0)
    assert module.best_value(level, level) == pytest.approx(-np.log(4))
    real, fake = np.array([1.0, 3.0]), np.array([-3.0, -1.0])
    # Symmetric logits are at their best level already.
    expected = -2 * np.mean(np.log1p(np.exp(-real)))
    assert module.best_value(real, fake) == pytest.approx(expected)
    assert module.best_value(real + 7, fake + 7) == pytest.approx(expected)


@pytest.fixture(scope="module")
def digits_model(tmp_path_factory):
    """A GAN of the digits, after one epoch."""
    import keras_gan

    data = datasets.load("digits")
    pair = keras_gan.networks.digits_mlp(data.spec, latent_dim=4, seed=0)
    gan = keras_gan.GAN(*pair, keras_gan.priors.Normal(4), seed=0)
    gan.compile("adam", "adam")
    gan.fit(data.batches(64, seed=0), epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("model") / "gan.keras"
    gan.save(path)
    return f"--model={path}"


def cells(line):
    return [cell.strip() for cell in line.strip("|\n").split("|")]


def test_projection_is_measured(root, monkeypatch, capsys, digits_model):
    arguments = ("--what=projection", "--dataset=digits", "--num_images=20")
    small = ("--num_own=5", "--steps=200", "--restarts=1")
    run(root, monkeypatch, "inference", digits_model, *arguments, *small)
    head, _, nearest, projected, own = capsys.readouterr().out.splitlines()
    assert cells(head)[:2] == ["what", "mean error"]
    assert cells(nearest)[0] == "nearest of 10,000 samples"
    assert cells(projected)[0] == "projection of 20 images"
    errors = [float(cells(row)[1]) for row in (own, projected, nearest)]
    assert errors[0] < 1e-3 and errors == sorted(errors)


@pytest.mark.slow
def test_projection_from_an_encoder(root, monkeypatch, capsys, digits_model):
    arguments = ("--what=encoder", "--dataset=digits", "--num_images=20", "--steps=40")
    run(root, monkeypatch, "inference", digits_model, *arguments, "--encoder_steps=200")
    _, _, *rows = capsys.readouterr().out.splitlines()
    errors = [float(row.split(" | ")[1]) for row in rows]
    alone, several, one, started = errors
    assert rows[1].startswith("| 4 of 40 steps") and "1 of 40 steps" in rows[3]
    assert several <= one and started < alone


def test_completion_is_measured(root, monkeypatch, capsys, digits_model):
    arguments = ("--what=completion", "--dataset=digits", "--num_images=60")
    small = ("--steps=50", "--restarts=1", "--num_completions=3")
    module = run(root, monkeypatch, "inference", digits_model, *arguments, *small)
    head, _, *rows = map(cells, capsys.readouterr().out.splitlines())
    assert head[0] == "lower half" and head[-1] == "explained"
    truth, mean, nearest, some, first = rows
    assert truth[-1] == "1.000" and mean[-1] == "0.000"
    shares = [float(row[1].rstrip("%")) for row in (truth, nearest, mean)]
    assert shares[0] > 93 and shares == sorted(shares, reverse=True)
    assert some[0].startswith("3 completions") and first[0].startswith("the first")
    # What is to be completed is not among the examples that it is completed by.
    data = datasets.load("digits")
    given = data.subset(data.fixed_rows(60), "train")
    others = module.without(data, given)
    assert len(others) == len(data) - 60
    assert module.without(data, data.subset(slice(0, 60), "test")) is data
