"""Scores by a stated protocol: of samples, of runs, during a training."""

import dataclasses
import json
import tracemalloc

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan import evaluation, experiments, metrics, runs
from keras_gan.evaluation import distances
from keras_gan.runs import scoring
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
        evaluation.protocol_for("digits", False, train, valid, test, num_samples=500),
        **changes,
    )


# === Protocol ===


def test_the_hash_follows_every_field(digits):
    base = protocol(digits)
    assert base.hash == protocol(digits).hash and len(base.hash) == 12
    changes = {
        "dataset": "mnist",
        "train": ("train", 7, "0"),
        "valid": None,
        "test": ("test", 3, "0"),
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


def test_the_hash_of_equal_inputs_is_that_of_earlier_versions(digits):
    """Scores of earlier versions stay comparable."""
    given = evaluation.Protocol(
        dataset="mnist",
        train=("train", 50_000, "0123456789abcdef"),
        valid=("valid", 10_000, "0" * 16),
        test=("test", 10_000, "f" * 16),
        contrast_normalization=False,
        value_range=(0.0, 1.0),
        num_samples=10_000,
        sample_seed=0,
        sigmas=(0.1, 0.2),
        features="classifier",
        features_key="classifier-0",
        versions={"keras": "3.15.0"},
    )
    assert given.hash == "94cb7f79c7d8"
    assert protocol(digits).hash == "62543ef70fe6"
    ring = keras_gan.datasets.load("ring8", "train")
    points = evaluation.protocol_for(
        "ring8", False, ring, None, None, versions={"a": "1"}
    )
    assert points.hash == "06d8d5ed0747"


def test_the_defaults_are_those_of_the_sources(digits):
    train, valid, test = digits
    images = evaluation.protocol_for("digits", False, *digits)
    assert images.num_samples == 10_000 and images.num_validation == 1000
    np.testing.assert_allclose(images.sigmas, np.logspace(-1, 0, 10))
    for name, count in (("gaussian1d", 100_000), ("ring8", 2500), ("grid25", 2500)):
        data = keras_gan.datasets.load(name, "train")
        points = evaluation.protocol_for(name, False, data, None, None)
        assert points.num_samples == count and points.value_range is None
    # Contrast-normalised values span six units, not one.
    np.testing.assert_allclose(
        evaluation.sigmas_for((-3, 3)), 6 * np.logspace(-1, 0, 10)
    )
    with pytest.raises(ValueError, match=r"`num_samples` .* in \[2, .*Received: 1"):
        evaluation.protocol_for("digits", False, *digits, num_samples=1)


def test_vectors_are_scored_by_their_density_or_by_examples():
    vectors = np.random.default_rng(0).random((40, 3), np.float32)
    bounded = keras_gan.datasets.Dataset(vectors)
    settings = evaluation.protocol_for("array", False, bounded, bounded, bounded, 20)
    assert settings.num_samples == 20 and len(settings.sigmas) == 10
    scores = evaluation.score(
        vectors[:20], bounded, bounded, bounded, metrics.Pixels(), settings, None
    )
    assert scores["precision"] == 1 and scores["sigma"] in settings.sigmas
    unbounded = keras_gan.datasets.Dataset(vectors, value_range=None, name="mine")
    for score in (
        lambda: evaluation.protocol_for("array", False, unbounded, None, None),
        lambda: evaluation.ValidationScores(unbounded),
    ):
        with pytest.raises(ValueError, match="`distribution` or .*'mine', a vector wi"):
            score()


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


def large_images(count, seed=0):
    """3,267 values each: more than covariances are taken of."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 33, 33, 3), np.uint8)
    return keras_gan.datasets.Dataset(pixels, name="large")


def test_large_images_have_no_covariance_of_pixels(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a covariance was taken")

    monkeypatch.setattr(metrics.Moments, "update", refuse)
    data = large_images(30)
    samples = data.examples(slice(0, 20))
    scores = evaluation.score_images(
        samples, data, None, None, metrics.Pixels(), protocol((data, None, None))
    )
    assert "frechet_distance" not in scores and scores["precision"] == 1
    expected = metrics.squared_mmd(data.examples(), samples[:20])
    assert scores["kernel_distance"] == pytest.approx(expected, abs=0.05)
    assert evaluation.why_no_covariance(32 * 32 * 3) is None
    reason = evaluation.why_no_covariance(64 * 64 * 3)
    assert "12,288 values" in reason and "1.2 GB" in reason and "\n" not in reason


def test_large_images_keep_a_classifiers_frechet_distance():
    data = large_images(30)
    labels = np.arange(30) % 2
    train, test = (
        keras_gan.datasets.Dataset(data.images[rows], labels[rows], num_classes=2)
        for rows in (slice(0, 20), slice(20, 30))
    )
    extractor = metrics.Classifier.train(train, test, steps=1)
    settings = protocol((train, test, test), nearest_k=3)
    samples = train.examples(slice(0, 12))
    scores = evaluation.score_images(samples, train, test, test, extractor, settings)
    expected = metrics.frechet_distance(
        metrics.Moments().update(extractor.features(test.examples())),
        metrics.Moments().update(extractor.features(samples)),
    )
    assert scores["frechet_distance"] == pytest.approx(expected, rel=1e-5)


def test_outliers_that_drown_the_distances_are_said(caplog):
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 60, 5))
    evaluation.feature_scores(real, fake)
    assert not helpers.warned(caplog)
    fake[3, 2] = 1e7
    evaluation.feature_scores(real, fake)
    # Empty or NaN features are refused before any warning of outliers.
    for rows, message in ((fake[:0], "none empty"), (fake * np.nan, "finite second")):
        with pytest.raises(ValueError, match=message):
            evaluation.feature_scores(real, rows)
    (line,) = helpers.warned(caplog)
    assert line.startswith("Features of up to 1e+07 lie among typical ones of ")


def test_the_look_for_outliers_takes_little_memory(caplog):
    """Medians of 50,000 x 2,048 features took two copies of them."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 6_000, 800)).astype(np.float32)
    fake[5_001, 700] = -1e7
    tracemalloc.start()
    try:
        distances._warn_of_outliers(real, fake)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(helpers.warned(caplog)) == 1
    assert peak < real.nbytes


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
        (np.full((4, 8, 8, 1), -0.5), "100% of them far outside"),
        # Digits as 0 to 255, of which four pixels in five are black.
        (255.0 * (np.arange(256).reshape(4, 8, 8, 1) % 5 == 0), "20% of them far"),
    ],
)
def test_samples_that_cannot_be_scored_are_named(samples, message):
    with pytest.raises(ValueError, match=message) as error:
        evaluation.check_samples(samples, (8, 8, 1), (0, 1))
    assert "\n" not in str(error.value)


def test_a_generators_own_samples_may_leave_the_range():
    """One without bounds at its output does, above all before it is trained."""
    samples = np.full((4, 8, 8, 1), 50, np.float32)
    np.testing.assert_array_equal(evaluation.check_samples(samples, (8, 8, 1)), samples)
    # And others by little, or seldom.
    samples = np.random.default_rng(0).uniform(-0.2, 1.2, (20, 8, 8, 1))
    samples[0, 0, 0, 0] = 9
    assert len(evaluation.check_samples(samples, (8, 8, 1), (0, 1))) == 20


def test_the_hash_follows_the_content_of_the_data(digits):
    train, valid, test = digits
    base = protocol(digits)
    assert base.train[:2] == ("train", len(train)) and len(base.train[2]) == 16
    for name, index in (("train", 0), ("valid", 1), ("test", 2)):
        other = digits[index].subset(slice(None, None, -1), digits[index].split)
        changed = [other if i == index else digits[i] for i in range(3)]
        assert getattr(protocol(changed), name)[:2] == getattr(base, name)[:2]
        assert protocol(changed).hash != base.hash


def two_classes(count):
    """Dark images, then light ones: sorted, as a folder of classes is."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], count // 2)
    images = rng.integers(0, 100, (count, 2, 2, 1)) + 150 * labels[:, None, None, None]
    return keras_gan.datasets.Dataset(images.astype(np.uint8), labels)


def test_representative_rows_stand_for_all(digits):
    np.testing.assert_array_equal(
        evaluation.representative_rows(digits[0], 50), np.arange(50)
    )
    data = two_classes(100)
    rows = evaluation.representative_rows(data, 30)
    assert len(np.unique(rows)) == 30 and data.labels[rows].sum() == 15
    np.testing.assert_array_equal(
        evaluation.representative_rows(data, 200), np.arange(100)
    )


def test_a_part_of_a_sorted_reference_is_of_all_classes():
    data = two_classes(12_000)
    settings = protocol((data, None, None), num_samples=100, subset_size=50)
    # 10,000 of the reference are taken: were they the first, a sixth would be light.
    samples = data.fixed_examples(1000)
    scores = evaluation.score_images(
        samples, data, None, None, metrics.Pixels(), settings
    )
    apart = np.sum(samples[samples.mean((1, 2, 3)) > 0.5].mean(0) ** 2)
    assert scores["frechet_distance"] < 0.01 < apart


def test_shared_examples_are_counted(digits):
    train, _, test = digits
    assert evaluation.shared_examples(train, test) == 0
    mixed = keras_gan.datasets.Dataset(
        np.concatenate([test.examples(), train.examples(slice(3, 8))])
    )
    assert evaluation.shared_examples(train, mixed) == 5


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
    (interval,) = intervals = evaluation.central_intervals(data, gan)
    assert interval == pytest.approx([2 - 0.5 * 1.959964, 2 + 0.5 * 1.959964])
    found = evaluation.largest_deviation_of_d(gan, intervals)
    assert found == pytest.approx(expected, abs=1e-5)


def test_a_discriminator_that_diverged_is_not_the_perfect_one():
    """max(0, NaN) is 0, and no NaN is above a boundary: D that cannot tell."""
    gan = helpers.tiny_gan()
    gan.discriminator.set_weights(
        [np.full_like(w, np.nan) for w in gan.discriminator.get_weights()]
    )
    examples = np.ones((6, 4), np.float32)
    assert np.isnan(evaluation.discriminator_accuracy(gan, examples, examples))
    text = evaluation.format_report(report_of({}, discriminator_accuracy=None))
    assert text.endswith("accuracy of D: none, it answers NaN: its training diverged")
    gan = keras_gan.GAN(
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]),
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]),
        keras_gan.priors.Uniform(1),
        value_range=None,
    )
    gan.discriminator.set_weights([np.full((1, 1), np.nan), np.zeros(1)])
    assert np.isnan(evaluation.largest_deviation_of_d(gan, [(0, 1), (1, 2)]))


def test_largest_deviation_of_d_over_classes():
    """D's logit is x minus the mean of the class, but for 1/2 more in the last."""
    gan = helpers.one_dimensional_gan(shifts=(2.0, 0.0, -1.5))
    data = keras_gan.datasets.load("mixture1d", "valid")
    intervals = evaluation.central_intervals(data, gan)
    for interval, mean, scale in zip(
        intervals, (-2, 0, 2), (0.8, 0.4, 0.8), strict=True
    ):
        half = 1.959964 * scale
        assert interval == pytest.approx([mean - half, mean + half], abs=1e-4)
    found = evaluation.largest_deviation_of_d(gan, intervals)
    expected = 1 / (1 + np.exp(-0.8 * 1.959964 - 0.5)) - 0.5
    assert found == pytest.approx(expected, abs=1e-4)


# === Runs ===


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        runs.train(
            runs.Run(
                folder / f"seed{seed}",
                experiments.get_preset(
                    "digits", {"epochs": 2, "seed": seed, "ema_decay": 0.9}
                ),
            )
        ).path
        for seed in (0, 1)
    ]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(metrics.Classifier, "STEPS", 250)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path_factory.getbasetemp() / "c"))


def test_runs_and_their_mean(two_runs, tmp_path):
    reports = scoring.evaluate_all(
        two_runs, output=tmp_path / "all.json", num_samples=300
    )
    for report, run in zip(reports, two_runs, strict=True):
        assert json.loads(runs.Run.open(run).scores_path().read_text()) == report
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
    summary_text = evaluation.format_summary(reports, evaluation.summarize(reports))
    text = evaluation.format_report(reports[0]) + summary_text
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
    refused("directory of a run, with a config.json", tmp_path / "none")
    refused("`features` .*'classifer'.*mean", two_runs[0], features="classifer")
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
            "value_range": [0.0, 1.0],
        },
        "protocol_hash": "0" * 12,
        "rows": {
            "samples": {"log_likelihood": 231.26, "log_likelihood_standard_error": 2.0}
        },
    }
    lines = evaluation.format_report(report).splitlines()
    assert any("samples" in line and "231.3 +- 2.0" in line for line in lines)
    assert any("Adversarial nets (2014)" in line and "225.0" in line for line in lines)
    # A density of values in (-1, 1) is another number: log 2 less for each value.
    report["protocol"]["value_range"] = [-1.0, 1.0]
    text = evaluation.format_report(report)
    assert "(2014)" not in text and "density of values in (-1.0, 1.0)" in text


@pytest.mark.parametrize(
    ("loss", "accuracy"),
    [
        ("non_saturating", 0.5),  # all logits are above 0
        ("hinge", 0.5),
        ("least_squares", 0.5),
        ("relativistic", 1.0),
        ("wasserstein", 1.0),
    ],
)
def test_d_tells_apart_by_what_its_loss_means(loss, accuracy):
    """Examples have logits of 9 and more, samples of 6 and less."""
    gan = helpers.tiny_gan(loss=loss)
    gan.discriminator = keras.Sequential(
        [keras.Input((4,)), keras.layers.Lambda(lambda x: x[:, :1])]
    )
    examples = np.full((6, 4), 9.0, np.float32) + np.arange(6)[:, None]
    samples = np.full((6, 4), 6.0, np.float32) - 0.1 * np.arange(6)[:, None]
    for offset in (0, -20):
        found = evaluation.discriminator_accuracy(
            gan, examples + offset, samples + np.float32(offset)
        )
        assert found == accuracy


def report_of(rows, **entries):
    """The report that `scoring.evaluate` would return for these rows of CIFAR-10."""
    protocol = {
        "dataset": "cifar10",
        "num_samples": 10,
        "sample_seed": 0,
        "test": ["test", 10_000],
        "features": "pixels",
        "value_range": [0.0, 1.0],
    }
    return {
        "model": "runs/x",
        "step": 3,
        "protocol": protocol,
        "protocol_hash": "0" * 12,
        "rows": rows,
        **entries,
    }


@pytest.mark.parametrize(
    ("names", "shares"),
    [
        (None, "75.0 25.0"),
        (["0", "1"], "75.0 25.0"),
        (["10", "9"], "10 75.0 9 25.0"),
        (["cat", "dog"], "cat 75.0 dog 25.0"),
    ],
)
def test_class_shares_stand_beside_the_names_of_the_classes(names, shares):
    entries = {} if names is None else {"class_names": names}
    report = report_of({"samples": {"class_shares": [0.75, 0.25]}}, **entries)
    text = evaluation.format_report(report)
    assert f"class shares of samples in %: {shares}\n" in text + "\n"


@pytest.mark.parametrize("count", [2, 21])
def test_a_class_that_the_examples_lack_makes_the_divergence_infinite(count):
    """Infinity is no JSON: a report has None there."""
    scores = {
        "class_shares": [1.0] + [0.0] * (count - 1),
        "classes_covered": 1,
        "class_kl_divergence": None,
    }
    text = evaluation.format_report(report_of({"samples": scores}))
    assert (
        "class KL of samples: infinite, as some are of a class that the examples do "
        "not have"
    ) in text
    assert ("classes of samples: 1 of 21\n" in text) == (count == 21)


def test_numbers_of_examples_that_do_not_compare_are_said():
    """As of 2,000 photographs: 200 are held out, and 1,800 are left to memorise."""

    def remarks(num_samples, num_test, num_training, features="pixels"):
        report = report_of({}, num_training_examples=num_training)
        report["protocol"] |= {
            "num_samples": num_samples,
            "test": ["held out", num_test],
            "features": features,
        }
        lines = evaluation.format_report(report).splitlines()[3:]
        assert all(line[0] != " " for line in lines if line)
        return "\n".join(lines)

    text = remarks(10_000, 200, 1_800)
    assert (
        "training examples: all 1,800, fewer than the samples: compare the rows by "
        "precision, density and the kernel distance alone, or score 1,800 samples"
    ) in text
    assert "few examples to compare with (200): " in text
    assert "few examples" in remarks(1_800, 999, 1_800)
    assert remarks(1_800, 1_000, 1_800) == remarks(10_000, 10_000, 10_000) == ""
    assert remarks(100, 100, 100) == ""  # all rows are of equally many
    # An exact density takes the place of the examples.
    assert remarks(2_500, 200, 2_500, features="none") == ""


def test_scores_stand_below_their_headings():
    rows = {
        "samples": {"kernel_distance": 0.5, "precision": 0.25, "recall": None},
        "training examples": {"kernel_distance": 0.125, "precision": 1.0, "recall": 1},
    }
    text = evaluation.format_report(report_of(rows))
    heading, *lines = text.split("\n\n")[1].splitlines()
    assert heading.split() == ["kernel", "precision", "recall"]
    assert [line.split()[-3:] for line in lines] == [
        ["0.5", "0.250", "-"],
        ["0.125", "1.000", "1.000"],
    ]
    assert lines[1].startswith("training examples ")
    # Each column ends where its heading does.
    for name, cells in (("kernel", ("0.5", "0.125")), ("recall", ("-", "1.000"))):
        end = heading.index(name) + len(name)
        for line, cell in zip(lines, cells, strict=True):
            assert line[:end].endswith(" " + cell)


def test_pixel_distances_stand_beside_those_of_the_start():
    rows = {"samples": {"kernel_distance": 0.5}}

    def last_line(final, initial):
        report = report_of(
            rows,
            num_pixel_samples=2000,
            pixel_frechet_distance=final,
            pixel_frechet_distance_at_start=initial,
        )
        return evaluation.format_report(report).splitlines()[-1]

    start = "pixel Frechet distance, final (initial): "
    assert last_line(0.17, 10.361).startswith(f"{start}0.170 (10.36), of 2,000 samples")
    assert last_line(0.00412, 1168.2).startswith(f"{start}0.00412 (1168)")
    left_out = report_of(rows, pixel_frechet_distance_left_out="left out, because")
    text = evaluation.format_report(left_out)
    assert text.endswith("\n\npixel Frechet distance: left out, because")


def test_what_a_file_holds_is_read_or_refused(tmp_path):
    data = keras_gan.datasets.load("digits", "test")
    path = tmp_path / "s.npz"
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (9, 8, 8, 1)).astype(np.uint8)

    def load(samples=levels, value_range=(0, 255)):
        np.savez(path, samples=samples, value_range=np.float32(value_range))
        return runs.load_samples(path, data)

    np.testing.assert_allclose(load(), levels / 255, atol=1e-6)
    np.testing.assert_allclose(load(levels - 128.0, (-128, 127)), levels / 255)

    def refused(message, *content):
        with pytest.raises(ValueError, match=message) as error:
            load(*content)
        assert "\n" not in str(error.value) and "unsafely" not in str(error.value)

    refused(r"in \(0.0, 1.0\).*from 0 to 255, .*far outside", levels, (0, 1))
    refused("without the value_range", levels / 255, ())
    refused("samples of complex", levels.astype(complex))
    refused("Object arrays cannot be loaded", np.array([{}]))
    refused("two finite numbers", levels, (0, 1, 2))
    refused("contrast-normalised", rng.uniform(-3, 3, (9, 8, 8, 1)), (-3, 3))
    for content, message in ((b"hello", "no .npz"), (None, "no such file")):
        path.unlink(missing_ok=True)
        if content:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as error:
            runs.load_samples(path, data)
        assert "unsafely" not in str(error.value)


@pytest.fixture
def no_scoring(monkeypatch):
    """Mistakes end before the work, not after it."""

    def fail(*arguments, **options):
        raise AssertionError("scored")

    monkeypatch.setattr(evaluation, "score", fail)
    monkeypatch.setattr(metrics.Classifier, "trained", fail)


def test_mistakes_end_before_the_work(no_scoring, two_runs, tmp_path):
    def refused(message, *models, **options):
        with pytest.raises(ValueError, match=message) as error:
            scoring.evaluate_all(models, **options)
        assert "\n" not in str(error.value)

    run = two_runs[0]
    refused("Received a directory", run, output=tmp_path)
    (tmp_path / "file").write_text("")
    refused("below the file", run, output=tmp_path / "file" / "deep" / "x.json")
    refused("below the file", *two_runs, output=tmp_path / "file" / "x.json")
    refused("at least 6 samples", run, num_samples=5)
    refused("several models.* 2 times", run, two_runs[1], run)
    refused("Received: .*mnist_0.5", tmp_path / "mnist_0.5")
    np.savez(
        tmp_path / "s.npz",
        samples=np.zeros((3, 8, 8, 1), np.float32),
        value_range=np.float32([0, 1]),
    )
    refused("at least 6 samples", tmp_path / "s.npz", dataset="digits")
    for name, count in (("", 9), ("test", 10)):
        write_pictures(tmp_path / "few" / name, count, (8, 8))
    np.savez(
        tmp_path / "many.npz",
        samples=np.random.default_rng(0).random((9, 8, 8, 3), np.float32),
        value_range=np.float32([0, 1]),
    )
    few = f"folder:{tmp_path / 'few'}"
    refused(
        r"at least 6 images in split 'test\[1::2\]', to .* Received: 5; add images",
        tmp_path / "many.npz",
        dataset=few,
    )


@pytest.fixture
def counted(monkeypatch):
    """Every call of `evaluation.score`, by what the samples are."""
    calls = []
    score = evaluation.score

    def counting(samples, *arguments):
        calls.append(samples)
        return score(samples, *arguments)

    monkeypatch.setattr(evaluation, "score", counting)
    return calls


def test_several_runs_share_what_is_the_same(two_runs, counted, monkeypatch):
    trained = []
    train = metrics.Classifier.train

    def counting(*arguments, **options):
        trained.append(1)
        return train(*arguments, **options)

    monkeypatch.setattr(metrics.Classifier, "train", counting)
    monkeypatch.setenv("KERAS_GAN_CACHE", "/dev/null/none")  # nothing can be kept
    with pytest.warns(UserWarning, match="is not cached"):
        reports = scoring.evaluate_all(two_runs, num_samples=100)
    # Two rows of either run, and the training examples once.
    assert len(counted) == 5 and len(trained) == 1
    assert (
        reports[0]["rows"]["training examples"]
        == (reports[1]["rows"]["training examples"])
    )
    assert reports[0]["rows"]["samples"] != reports[1]["rows"]["samples"]
    assert reports[0]["num_training_examples"] == 100
    assert reports[0]["test_examples_in_training"] == 0


def test_other_protocols_stop_at_the_first_that_differs(two_runs, counted, tmp_path):
    made = []
    for name, count in (("a", 50), ("b", 60), ("c", 50)):
        runs.write_samples(two_runs[0], tmp_path / f"{name}.npz", count, seed=0)
    models = [tmp_path / f"{name}.npz" for name in "abc"]
    with pytest.raises(ValueError, match="differ in num_samples"):
        scoring.evaluate_all(
            models, dataset="digits", features="pixels", on_report=made.append
        )
    assert [len(samples) for samples in counted] == [50, 50, 60, 60]
    # A file says nothing of a seed.
    assert "50 samples; protocol" in evaluation.format_report(made[0])


def test_what_is_not_finite_is_null(two_runs, monkeypatch, tmp_path):
    values = iter([1.0, np.inf, 2.0, 3.0, float("nan"), 4.0])
    monkeypatch.setattr(
        evaluation, "score", lambda *a, **k: {"precision": next(values), "recall": 0.5}
    )
    reports = scoring.evaluate_all(
        two_runs, output=tmp_path / "all.json", num_samples=50, features="pixels"
    )
    assert reports[0]["rows"]["samples, raw weights"]["precision"] is None

    def refuse(name):
        raise AssertionError(name)

    summary = json.loads((tmp_path / "all.json").read_text(), parse_constant=refuse)[
        "summary"
    ]
    assert summary["samples"]["precision"] == [2.0, np.std([1, 3], ddof=1)]
    assert "precision" not in summary["samples, raw weights"]
    assert summary["samples, raw weights"]["recall"] == [0.5, 0.0]
    for run in two_runs:
        json.loads((run / "scores.json").read_text(), parse_constant=refuse)


def test_without_a_test_split_the_training_examples_are_not_judged(tmp_path):
    rng = np.random.default_rng(0)
    from PIL import Image

    for index in range(30):
        pixels = rng.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    np.savez(
        tmp_path / "s.npz",
        samples=rng.random((20, 8, 8, 1), np.float32),
        value_range=np.float32([0, 1]),
    )
    report = scoring.evaluate(tmp_path / "s.npz", dataset=f"folder:{tmp_path}")
    assert list(report["rows"]) == ["samples"]
    assert "test_examples_in_training" not in report
    assert report["protocol"]["features"] == "pixels"


def write_pictures(folder, count, size):
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        pixels = rng.integers(0, 256, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


def test_a_run_on_large_images_is_scored_without_covariances(tmp_path, monkeypatch):
    write_pictures(tmp_path / "pictures", 20, (33, 33))
    settings = {
        "dataset": f"folder:{tmp_path / 'pictures'}",
        "epochs": 1,
        "evaluation_epochs": 1,
        "keep_best": "pixel_kernel_distance",
    }
    run = runs.Run(tmp_path / "run", experiments.get_preset("digits", settings))
    runs.train(run)
    (line,) = run.evaluations_path.read_text().splitlines()
    assert set(json.loads(line)) == {"epoch", "step", "pixel_kernel_distance"}
    report = scoring.evaluate(run.path, num_samples=30)
    assert "pixel_frechet_distance" not in report
    assert "frechet_distance" not in report["rows"]["samples"]
    assert 0 <= report["discriminator_accuracy"] <= 1
    reason = evaluation.why_no_covariance(33 * 33 * 3)
    assert report["pixel_frechet_distance_left_out"] == reason
    assert reason in evaluation.format_report(report)


# === During a training ===


def test_validation_scores_of_large_images_use_the_kernel_distance():
    data = large_images(30)
    gan = keras_gan.GAN(
        keras.Sequential(
            [
                keras.Input((2,)),
                keras.layers.Dense(3267, activation="sigmoid"),
                keras.layers.Reshape((33, 33, 3)),
            ]
        ),
        keras.Sequential(
            [keras.Input((33, 33, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
        ),
        keras_gan.priors.Uniform(2),
        seed=0,
    )
    validate = evaluation.ValidationScores(data, seed=3)
    scores = validate(gan)
    assert tuple(scores) == validate.names == ("pixel_kernel_distance",)
    expected = metrics.kernel_distance(
        data.fixed_examples(2000), gan.generate(2000, seed=3)
    )
    assert scores["pixel_kernel_distance"] == pytest.approx(expected.distance)
    valid = large_images(10, seed=1)
    assert evaluation.ValidationScores(data, valid).names == (
        "pixel_kernel_distance",
        "validation_log_likelihood",
    )


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
    lines = [
        json.loads(x) for x in (tmp_path / "evaluations.jsonl").read_text().splitlines()
    ]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5]
    written = [None if np.isnan(each) else each for each in history]
    assert [line["quality"] for line in lines] == written
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
    lines = [
        json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()
    ]
    assert [line["epoch"] for line in lines] == [3, 6, 7]
    assert not list(tmp_path.glob("*.keras"))


def test_wrong_evaluations_are_refused(tmp_path):
    def make(**options):
        return keras_gan.callbacks.Evaluation(
            lambda model: {"a": 1}, tmp_path / "e.jsonl", **options
        )

    with pytest.raises(ValueError, match="`every` to be an int >= 1"):
        make(every=0)
    with pytest.raises(ValueError, match="`mode` to be one of 'max', 'min'. R"):
        make(mode="most")
    with pytest.raises(ValueError, match="best_path"):
        make(keep="a")
    callback = make(keep="b", best_path=tmp_path / "best.keras")
    with pytest.raises(ValueError, match="to be a score among a. Received: 'b'"):
        helpers.tiny_gan().fit(helpers.examples(8), verbose=0, callbacks=[callback])


@pytest.mark.parametrize(
    ("preset", "names"),
    [
        ("digits", {"pixel_frechet_distance", "validation_log_likelihood"}),
        pytest.param(
            "ring8",
            {"modes_covered", "high_quality_share", "reverse_kl_divergence"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "gaussian1d",
            {"jensen_shannon_divergence", "largest_deviation_of_d"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_is_scored_as_it_goes(preset, names, tmp_path):
    keep = sorted(names)[0]
    settings = {"epochs": 2, "evaluation_epochs": 1, "keep_best": keep}
    run = runs.Run(tmp_path / "run", experiments.get_preset(preset, settings))
    workdir = runs.train(run).path
    lines = [json.loads(x) for x in run.evaluations_path.read_text().splitlines()]
    # What D says of held-out and of training examples stands beside the scores.
    answers = {"val_d_real", "val_d_fake", "val_value", "train_d_real"}
    if run.experiment.loss.name == "relativistic":
        answers = {"val_real_logits", "val_fake_logits", "train_real_logits"}
    assert len(lines) == 2 and set(lines[0]) == {"epoch", "step", *names, *answers}
    data = keras_gan.datasets.load(preset, "train")
    valid = keras_gan.datasets.load(preset, "test")
    assert set(evaluation.ValidationScores(data, valid).names) == names
    assert names <= set(evaluation.VALIDATION_SCORES)
    choose = max if evaluation.VALIDATION_SCORES[keep] else min
    best = choose(lines, key=lambda line: line[keep])
    kept = run.gan(best=True)
    assert int(kept.generator_optimizer.iterations) == best["step"]
    # The kept model can be scored as the run's last, whose scores stay.
    last = scoring.evaluate(workdir, num_samples=200)
    report = scoring.evaluate(run.best_path, num_samples=200)
    assert report["step"] == best["step"]
    assert json.loads(run.scores_path().read_text()) == last
    assert json.loads(run.scores_path(best=True).read_text()) == report


def test_keeping_without_evaluating_is_refused():
    with pytest.raises(ValueError, match="train.evaluation_epochs to be an int, so"):
        experiments.get_preset("digits", {"keep_best": "pixel_frechet_distance"})
