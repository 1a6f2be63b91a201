"""Scores by a stated protocol: of samples, of runs, during a training."""

import dataclasses
import json

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan import evaluation, metrics, runs, scoring, training
from tests import helpers


@pytest.fixture(scope="module")
def digits():
    train, test = (keras_gan.datasets.load("digits", s) for s in ("train", "test"))
    return (
        train,
        test.subset(slice(0, None, 2), "test[0::2]"),
        test.subset(slice(1, None, 2), "test[1::2]"),
    )


@pytest.fixture(scope="module")
def classifier(digits):
    return metrics.Classifier.train(digits[0], digits[2], steps=300)


def protocol(data, **changes):
    train, valid, test = data
    return dataclasses.replace(
        evaluation.protocol_for(
            training.get_preset("digits"), train, valid, test, num_samples=500
        ),
        **changes,
    )


# === Protocol ===


def test_the_hash_follows_every_field(digits):
    base = protocol(digits)
    assert base.hash == protocol(digits).hash and len(base.hash) == 12
    changes = {
        "dataset": "mnist",
        "train": ("train", 7),
        "valid": None,
        "test": ("test", 3),
        "contrast_normalization": True,
        "value_range": (-1.0, 1.0),
        "num_samples": 501,
        "sample_seed": 1,
        "num_validation": 10,
        "sigmas": (0.1, 0.2),
        "features": "pixels",
        "features_key": "x",
        "nearest_k": 3,
        "subset_size": 100,
        "bins": 10,
        "versions": {"keras": "0"},
    }
    assert set(changes) == {field.name for field in dataclasses.fields(base)}
    hashes = {dataclasses.replace(base, **{k: v}).hash for k, v in changes.items()}
    assert len(hashes | {base.hash}) == len(changes) + 1
    # As JSON brings it back.
    again = json.loads(json.dumps(dataclasses.asdict(base)))
    assert evaluation.Protocol(**again).hash == base.hash


def test_the_defaults_are_those_of_the_sources(digits):
    train, valid, test = digits
    images = evaluation.protocol_for(training.get_preset("digits"), *digits)
    assert images.num_samples == 10_000 and images.num_validation == 1000
    np.testing.assert_allclose(images.sigmas, np.logspace(-1, 0, 10))
    for name, count in (("gaussian1d", 100_000), ("ring8", 2500), ("grid25", 2500)):
        data = keras_gan.datasets.load(name, "train")
        points = evaluation.protocol_for(training.get_preset(name), data, None, None)
        assert points.num_samples == count and points.value_range is None
    # Contrast-normalised values span six units, not one.
    np.testing.assert_allclose(
        evaluation.sigmas_for((-3, 3)), 6 * np.logspace(-1, 0, 10)
    )
    with pytest.raises(ValueError, match="at least 2 samples. Received: 1"):
        evaluation.protocol_for(training.get_preset("digits"), *digits, num_samples=1)


# === Scores ===


def test_scores_are_those_of_the_metrics(digits, classifier):
    train, valid, test = digits
    samples = train.examples(slice(0, 300)) * np.float32(0.9)
    scores = evaluation.score_images(
        samples, train, valid, test, classifier, protocol(digits)
    )
    likelihoods = metrics.parzen_log_likelihood(
        test.examples(), samples, scores["sigma"]
    )
    assert scores["log_likelihood"] == pytest.approx(likelihoods.mean())
    assert scores["log_likelihood_standard_error"] == pytest.approx(
        likelihoods.std(ddof=1) / np.sqrt(len(test))
    )
    best = max(
        metrics.parzen_log_likelihood(valid.examples(), samples, sigma).mean()
        for sigma in metrics.PAPER_SIGMAS
    )
    assert scores["validation_log_likelihood"] == pytest.approx(best)
    real = classifier.features(test.examples())
    fake = classifier.features(samples)
    assert scores["frechet_distance"] == pytest.approx(
        metrics.frechet_distance(
            metrics.Moments().update(real), metrics.Moments().update(fake)
        ),
        rel=1e-6,
    )
    neighbours = metrics.prdc(real, fake, nearest_k=5)
    assert scores["recall"] == neighbours.recall
    assert scores["density"] == neighbours.density
    assert scores["class_shares"] == pytest.approx(
        np.bincount(classifier.classes(samples), minlength=10) / 300
    )


def test_worse_samples_score_worse(digits, classifier):
    train, valid, test = digits
    rng = np.random.default_rng(0)
    real = train.examples(slice(0, 500))
    noisy = np.clip(real + rng.normal(0, 0.4, real.shape), 0, 1).astype(np.float32)
    ones = real[train.labels[:500] == 1].repeat(10, axis=0)[:500]
    good, bad, collapsed = (
        evaluation.score_images(
            samples, train, valid, test, classifier, protocol(digits)
        )
        for samples in (real, noisy, ones)
    )
    for scores in (bad, collapsed):
        assert scores["log_likelihood"] < good["log_likelihood"]
        assert scores["frechet_distance"] > good["frechet_distance"]
        assert scores["kernel_distance"] > good["kernel_distance"]
        assert scores["coverage"] < good["coverage"]
    assert bad["precision"] < good["precision"]
    assert collapsed["recall"] < 0.2 < good["recall"]
    assert collapsed["classes_covered"] < 5 and good["classes_covered"] == 10
    assert collapsed["class_kl_divergence"] > 1 > 0.1 > good["class_kl_divergence"]


def test_without_a_test_split_there_is_no_likelihood(digits):
    train, _, _ = digits
    scores = evaluation.score_images(
        train.examples(slice(0, 100)),
        train,
        None,
        None,
        metrics.Pixels(),
        protocol((train, None, None)),
    )
    assert "log_likelihood" not in scores and "class_shares" not in scores
    assert scores["precision"] == 1.0


def test_points_by_pacgans_protocol():
    data = keras_gan.datasets.load("ring8", "test")
    scores = evaluation.score_points(data.examples(slice(0, 2500)), data.distribution)
    assert scores["modes_covered"] == 8
    # Two dimensions: 1 - exp(-9/2) of a Gaussian lies within 3 standard deviations.
    assert scores["high_quality_share"] == pytest.approx(1 - np.exp(-4.5), abs=0.01)
    data = keras_gan.datasets.load("gaussian1d", "test")
    scores = evaluation.score_points(data.examples(), data.distribution)
    assert 0 <= scores["jensen_shannon_divergence"] < 0.003
    scores = evaluation.score_points(data.examples() + 5, data.distribution)
    # All samples in the last bin, which holds a hundredth of the data.
    expected = (0.99 * np.log(2) + 0.01 * np.log(0.01 / 0.505) - np.log(0.505)) / 2
    assert scores["jensen_shannon_divergence"] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((4, 7, 8, 1), "f"), r"shape \(None, 8, 8, 1\).*\(4, 7, 8, 1\)"),
        (np.zeros((1, 8, 8, 1), "f"), "at least 2 samples"),
        (np.zeros((4, 8, 8, 1), np.uint8), "float samples.*uint8"),
        (np.full((4, 8, 8, 1), np.nan), "finite samples.*in 4 of 4.*diverged"),
        (np.full((4, 8, 8, 1), 200.0), r"samples in \(0, 1\).*200.*rescale"),
        (np.full((4, 8, 8, 1), -0.5), "half of them or more outside"),
    ],
)
def test_samples_that_cannot_be_scored_are_named(samples, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluation.check_samples(samples, (8, 8, 1), (0, 1))
    assert "\n" not in str(error.value)


def test_largest_deviation_of_d():
    """D's logit is x - 2: the largest deviation lies at an end of the central 95%."""
    discriminator = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    discriminator.set_weights([np.ones((1, 1)), np.full(1, -2.0)])
    gan = keras_gan.GAN(
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]),
        discriminator,
        keras_gan.priors.Uniform(1),
        value_range=None,
    )
    data = keras_gan.datasets.load("gaussian1d", "valid")
    expected = 1 / (1 + np.exp(-0.5 * 1.959964)) - 0.5
    found = evaluation.largest_deviation_of_d(gan, data.distribution)
    assert found == pytest.approx(expected, abs=1e-5)


# === Runs ===


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        training.train(
            training.get_preset(
                "digits", {"epochs": 2, "seed": seed, "ema_decay": 0.9}
            ),
            folder / f"seed{seed}",
        )
        for seed in (0, 1)
    ]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(metrics.Classifier, "STEPS", 100)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path_factory.getbasetemp() / "c"))


def test_runs_and_their_mean(two_runs, tmp_path, capsys):
    reports = scoring.evaluate_all(
        two_runs, output=tmp_path / "all.json", num_samples=300
    )
    for report, run in zip(reports, two_runs, strict=True):
        assert json.loads((run / runs.SCORES).read_text()) == report
        assert set(report["rows"]) == {
            "samples",
            "samples, raw weights",
            "training examples",
        }
        assert report["protocol_hash"] == reports[0]["protocol_hash"]
        assert report["protocol"]["versions"]["keras"] == keras.__version__
        assert 0.9 < report["classifier_accuracy"] <= 1
    values = [report["rows"]["samples"]["log_likelihood"] for report in reports]
    summary = json.loads((tmp_path / "all.json").read_text())["summary"]
    assert summary["samples"]["log_likelihood"] == pytest.approx(
        [np.mean(values), np.std(values, ddof=1)]
    )
    text = capsys.readouterr().out
    assert "2 runs" in text and f"protocol {reports[0]['protocol_hash']}" in text
    assert f"{np.mean(values):.1f} +- {np.std(values, ddof=1):.1f}" in text
    # Averaged weights are other weights.
    rows = reports[0]["rows"]
    assert rows["samples"] != rows["samples, raw weights"]


def test_samples_of_a_file_score_as_those_of_the_run(two_runs, tmp_path):
    run = scoring.evaluate(two_runs[0], num_samples=300)
    runs.write_samples(two_runs[0], tmp_path / "samples.npz", 300, seed=0)
    file = scoring.evaluate(tmp_path / "samples.npz", dataset="digits")
    expected = run["rows"]["samples"]
    assert set(file["rows"]["samples"]) == set(expected)
    for name, value in file["rows"]["samples"].items():
        if value is None:  # an error of a kernel distance with one subset
            assert expected[name] is None
        else:
            assert value == pytest.approx(expected[name], rel=1e-5), name
    assert file["protocol_hash"] == run["protocol_hash"] and file["step"] is None
    assert (tmp_path / "samples.scores.json").exists()
    # The same on another scale, which the file states.
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as content:
        samples = content["samples"]
    np.savez(
        tmp_path / "s.npz", samples=2 * samples - 1, value_range=np.float32([-1, 1])
    )
    scaled = scoring.evaluate(tmp_path / "s.npz", dataset="digits")
    assert scaled["rows"]["samples"]["log_likelihood"] == pytest.approx(
        run["rows"]["samples"]["log_likelihood"], rel=1e-4
    )


def test_what_cannot_be_scored_is_one_clear_line(two_runs, tmp_path):
    def refused(message, model, **options):
        with pytest.raises(ValueError, match=message) as error:
            scoring.evaluate(model, **options)
        assert "\n" not in str(error.value)

    np.savez(tmp_path / "x.npz", images=np.zeros(3))
    refused("dataset that .* stands for", tmp_path / "x.npz")
    refused("npz with samples and value_range", tmp_path / "x.npz", dataset="digits")
    refused("directory that scripts/train.py made", tmp_path / "none")
    refused("features among.*'classifer'.*mean", two_runs[0], features="classifer")
    refused("or the run's 'digits'", two_runs[0], dataset="mnist")
    reports = [
        scoring.evaluate(run, num_samples=n, features="pixels")
        for run, n in zip(two_runs, (300, 301), strict=True)
    ]
    with pytest.raises(ValueError, match="one protocol.*differ in num_samples"):
        evaluation.summarize(reports)


def test_the_papers_rows_stand_beside_ours():
    report = {
        "model": "runs/x",
        "step": 3,
        "protocol": {
            "dataset": "mnist",
            "num_samples": 10,
            "sample_seed": 0,
            "test": ["test", 10_000],
            "features": "pixels",
        },
        "protocol_hash": "0" * 12,
        "rows": {
            "samples": {"log_likelihood": 231.26, "log_likelihood_standard_error": 2.0}
        },
    }
    lines = evaluation.format_report(report).splitlines()
    assert any("samples" in line and "231.3 +- 2.0" in line for line in lines)
    assert any("Adversarial nets (2014)" in line and "225.0" in line for line in lines)


# === During a training ===


def test_the_best_model_is_kept(tmp_path):
    gan = helpers.tiny_gan(ema_decay=0.5)
    history = [3.0, float("nan"), 7.0, 5.0, 7.0]
    seen = []

    def scores(model):
        seen.append([w.numpy() for w in model.weights])
        return {"quality": history[len(seen) - 1]}

    callback = keras_gan.callbacks.Evaluation(
        scores,
        tmp_path / "evaluations.jsonl",
        keep="quality",
        best_path=tmp_path / "best.keras",
    )
    fit = gan.fit(helpers.examples(8), epochs=5, verbose=0, callbacks=[callback])
    lines = [json.loads(x) for x in (tmp_path / "evaluations.jsonl").open()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal([line["quality"] for line in lines], history)
    np.testing.assert_array_equal(fit.history["quality"], history)
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert int(best.generator_optimizer.iterations) == 3

    # Going on, a worse model does not take its place.
    before = (tmp_path / "best.keras").read_bytes()
    history += [6.0]
    again = keras_gan.callbacks.Evaluation(
        scores,
        tmp_path / "evaluations.jsonl",
        keep="quality",
        best_path=tmp_path / "best.keras",
    )
    gan.fit(helpers.examples(8), epochs=1, verbose=0, callbacks=[again])
    assert (tmp_path / "best.keras").read_bytes() == before


def test_every_n_epochs_and_the_last(tmp_path):
    gan = helpers.tiny_gan()
    callback = keras_gan.callbacks.Evaluation(
        lambda model: {"a": 1}, tmp_path / "e.jsonl", every=3
    )
    gan.fit(helpers.examples(8), epochs=7, verbose=0, callbacks=[callback])
    lines = [json.loads(line) for line in (tmp_path / "e.jsonl").open()]
    assert [line["epoch"] for line in lines] == [3, 6, 7]
    assert not list(tmp_path.glob("*.keras"))


def test_wrong_evaluations_are_refused(tmp_path):
    def make(**options):
        return keras_gan.callbacks.Evaluation(
            lambda model: {"a": 1}, tmp_path / "e.jsonl", **options
        )

    with pytest.raises(ValueError, match="`every` to be an int >= 1"):
        make(every=0)
    with pytest.raises(ValueError, match="mode 'max' or 'min'"):
        make(mode="most")
    with pytest.raises(ValueError, match="best_path"):
        make(keep="a")
    callback = make(keep="b", best_path=tmp_path / "best.keras")
    with pytest.raises(ValueError, match="score among a .*Received: 'b'"):
        helpers.tiny_gan().fit(helpers.examples(8), verbose=0, callbacks=[callback])


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("digits", {"pixel_frechet_distance", "validation_log_likelihood"}),
        ("gaussian1d", {"jensen_shannon_divergence", "largest_deviation_of_d"}),
        ("ring8", {"modes_covered", "high_quality_share", "reverse_kl_divergence"}),
    ],
)
def test_a_run_is_scored_as_it_goes(preset, names, tmp_path):
    keep = sorted(names)[0]
    settings = {"epochs": 2, "evaluation_epochs": 1, "keep_best": keep}
    workdir = training.train(training.get_preset(preset, settings), tmp_path / "run")
    lines = [json.loads(x) for x in (workdir / runs.EVALUATIONS).open()]
    assert len(lines) == 2 and set(lines[0]) == {"epoch", "step", *names}
    choose = max if evaluation.VALIDATION_SCORES[keep] else min
    best = choose(lines, key=lambda line: line[keep])
    kept = runs.load_gan(workdir / runs.BEST)
    assert int(kept.generator_optimizer.iterations) == best["step"]
    # The kept model can be scored as the run's last.
    report = scoring.evaluate(workdir / runs.BEST, num_samples=200)
    assert report["step"] == best["step"]


def test_keeping_without_evaluating_is_refused():
    with pytest.raises(ValueError, match="evaluation_epochs above 0"):
        training.get_preset("digits", {"keep_best": "pixel_frechet_distance"})
