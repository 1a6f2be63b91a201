"""Scores as text: of a run, of several runs, and beside those of the paper."""

import numpy as np
import tabulate

# Table 1 of the paper: Parzen-window log-likelihood, nats, and the paper's +-: the
# standard error over test examples (MNIST) and over folds (TFD).
PUBLISHED = {
    "mnist": {
        "DBN": (138.0, 2.0),
        "Stacked CAE": (121.0, 1.6),
        "Deep GSN": (214.0, 1.1),
        "Adversarial nets": (225.0, 2.0),
    },
    "tfd": {
        "DBN": (1909.0, 66.0),
        "Stacked CAE": (2110.0, 50.0),
        "Deep GSN": (1890.0, 29.0),
        "Adversarial nets": (2057.0, 26.0),
    },
}

# Columns of the tables: the score, its heading, its form, the score of its error.
_COLUMNS = (
    ("log_likelihood", "Parzen LL", "{:.1f}", "log_likelihood_standard_error"),
    ("frechet_distance", "Frechet", "{:.4g}", None),
    ("kernel_distance", "kernel", "{:.3g}", "kernel_distance_standard_error"),
    ("inception_score", "IS", "{:.2f}", "inception_score_standard_deviation"),
    ("precision", "precision", "{:.3f}", None),
    ("recall", "recall", "{:.3f}", None),
    ("density", "density", "{:.3f}", None),
    ("coverage", "coverage", "{:.3f}", None),
    ("class_kl_divergence", "class KL", "{:.4f}", None),
    ("jensen_shannon_divergence", "JSD", "{:.5f}", None),
    ("largest_deviation_of_d", "max |D - 1/2|", "{:.3f}", None),
    ("modes_covered", "modes", "{:.3g}", None),
    ("high_quality_share", "high quality", "{:.3f}", None),
    ("reverse_kl_divergence", "reverse KL", "{:.4f}", None),
)


# More shares than this are no line to read.
_MOST_SHARES = 20
# Below, precision and its like are noisy, and a subset of the kernel distance is short.
_FEW_EXAMPLES = 1_000


# === Several runs ===


def check_one_protocol(reports: list[dict]) -> None:
    """Raises an error unless all runs were scored by one protocol.

    Args:
        reports: list of at least one dict of `runs.evaluate`.

    Raises:
        ValueError: protocols that differ; the message names the fields.
    """
    first = reports[0]["protocol"]
    for report in reports[1:]:
        differing = [
            name for name in first if first[name] != report["protocol"].get(name)
        ]
        if differing:
            raise ValueError(
                "Expected runs that were scored by one protocol. Received: "
                f"{reports[0]['model']} and {report['model']}, which differ in "
                f"{', '.join(differing)}; score them apart"
            )


def summarize(reports: list[dict]) -> dict:
    """Returns mean and standard deviation over runs that one protocol scored.

    Args:
        reports: list of at least two dicts of `runs.evaluate`.

    Returns:
        dict of row names to dicts of score names to (mean, standard deviation with
        n - 1). Rows and scores that some run does not have are left out.

    Raises:
        ValueError: protocols that differ; the message names the fields.
    """
    check_one_protocol(reports)
    summary = {}
    for row in reports[0]["rows"]:
        if not all(row in report["rows"] for report in reports):
            continue
        summary[row] = {}
        for name, value in reports[0]["rows"][row].items():
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            values = [report["rows"][row].get(name) for report in reports]
            if None in values:
                continue
            summary[row][name] = (float(np.mean(values)), float(np.std(values, ddof=1)))
    return summary


def format_summary(reports: list[dict], summary: dict) -> str:
    """Returns the table of `summarize` as text."""
    runs = ", ".join(report["model"] for report in reports)
    heading = f"{len(reports)} runs ({runs}), mean +- standard deviation over runs"
    return f"{heading}\n{_table(summary | _published(reports[0]))}"


# === One run ===


def format_report(report: dict) -> str:
    """Returns the scores of a run as text.

    Args:
        report: dict of `runs.evaluate`.
    """
    rows = report["rows"] | _published(report)
    lines = [*_heading(report), "", _table(rows), *_remarks(report)]
    run = [*_pixel_lines(report)]
    if "discriminator_accuracy" in report:
        run.append(_accuracy_line(report["discriminator_accuracy"]))
    lines += ["", *run] if run else []
    if "digits" in report:
        lines += ["", format_digits_report(report["digits"])]
    return "\n".join(lines)


def _heading(report):
    protocol = report["protocol"]
    # A file of samples does not state its seed.
    source = ""
    if report["step"] is not None:
        source = f" of seed {protocol['sample_seed']} after step {report['step']:,}"
    reference = protocol["test"] or protocol["train"]
    # Reports of before had no name of their own.
    dataset = report.get("dataset", protocol["dataset"])
    accuracy = ""
    if "classifier_accuracy" in report:
        accuracy = (
            f" ({100 * report['classifier_accuracy']:.2f}% right on {reference[0]})"
        )
    return [
        f"{report['model']}: {protocol['num_samples']:,} samples{source}; protocol "
        f"{report['protocol_hash']}",
        f"against {dataset}, split {reference[0]}, {reference[1]:,} "
        f"examples; features: {protocol['features']}{accuracy}",
    ]


def _remarks(report):
    """What a reader of the table must know."""
    protocol = report["protocol"]
    reference = protocol["test"] or protocol["train"]
    settings = report.get("folder_settings", {})
    if settings.get("background", "white") != "white":
        yield (
            "transparent pixels of folders: "
            f"{_background_words(settings['background'])}"
        )
    if settings.get("skip_broken"):
        yield "files of folders that cannot be read are left out"
    yield from _number_remarks(report, reference[1])
    if report.get("test_examples_in_training"):
        yield (
            f"{report['test_examples_in_training']:,} of the {reference[1]:,} test "
            "examples are training examples too: memorising scores well on them"
        )
    if _has_likelihood(report) and not _is_unit(report):
        yield (
            "Parzen LL: a density of values in "
            f"{tuple(protocol['value_range'])}; published ones are of (0, 1)"
        )
    for row, scores in report["rows"].items():
        yield from _class_remarks(row, scores, report.get("class_names"))
        yield from _by_class_remarks(row, scores, report.get("class_names"))
        if scores.get("sigma_at_edge"):
            yield (
                f"Parzen windows of {row}: the best width, {scores['sigma']:.3g}, lies "
                "at an end of the grid"
            )
    deficient = [
        row
        for row, scores in report["rows"].items()
        if scores.get("frechet_rank_deficient")
    ]
    if deficient:
        yield (
            f"Frechet distance of {', '.join(deficient)}: no more examples than "
            "features, so mostly bias; compare it with equal numbers of examples only"
        )


def _number_remarks(report, num_examples):
    """Which scores do not compare, as they are of unequal numbers."""
    num_samples = report["protocol"]["num_samples"]
    num_training = report.get("num_training_examples", num_samples)
    if num_training < num_samples:
        yield (
            f"training examples: all {num_training:,}, fewer than the samples: compare "
            "the rows by precision, density and the kernel distance alone, or score "
            f"{num_training:,} samples"
        )
    is_compared = report["protocol"]["features"] != "none"
    if is_compared and num_examples < min(_FEW_EXAMPLES, num_samples):
        yield (
            f"few examples to compare with ({num_examples:,}): they make the Frechet "
            "distance and the coverage larger, and the kernel distance takes no more "
            "samples than these; compare only scores against these same examples"
        )


def _class_remarks(row, scores, names):
    """Which classes the samples are of."""
    count = len(scores.get("class_shares", ()))
    divergence = scores.get("class_kl_divergence")
    if count > _MOST_SHARES:
        in_nats = "" if divergence is None else f", KL divergence {divergence:.3g} nats"
        yield f"classes of {row}: {scores['classes_covered']:,} of {count:,}{in_nats}"
    elif count:
        shares = [f"{100 * share:.1f}" for share in scores["class_shares"]]
        if names and names != [str(number) for number in range(len(names))]:
            pairs = zip(names, shares, strict=True)
            shares = [f"{name} {share}" for name, share in pairs]
        yield f"class shares of {row} in %: {' '.join(shares)}"
    # Infinity is no JSON.
    if "class_kl_divergence" in scores and divergence is None:
        yield (
            f"class KL of {row}: infinite, as some are of a class that the examples do "
            "not have"
        )


def _by_class_remarks(row, scores, names):
    """What a conditional generator made of the classes that it was asked for."""
    if "class_accuracy" in scores:
        yield (f"{row} of the class asked for: {100 * scores['class_accuracy']:.2f}%")
    if "accuracy_of_samples" in scores:
        yield (
            f"test images named right by a classifier that saw {row} alone: "
            f"{100 * scores['accuracy_of_samples']:.2f}%"
        )
    covered = {
        entry["label"]: entry["coverage"]
        for entry in scores.get("by_class", ())
        if "coverage" in entry
    }
    if covered:
        worst = min(covered, key=covered.get)
        name = names[worst] if names else worst
        yield (
            f"coverage of {row} within a class: {covered[worst]:.3f} ({name}) to "
            f"{max(covered.values()):.3f}"
        )


def _background_words(background):
    return "kept as a channel" if background is None else f"laid on {background}"


def _accuracy_line(accuracy):
    if accuracy is None:
        return "accuracy of D: none, it answers NaN: its training diverged"
    return f"accuracy of D, training=False: {accuracy:.3f} (1/2: D cannot tell)"


def _pixel_lines(report):
    name = "pixel_frechet_distance"
    if name in report:
        final, *initial = (
            f"{report[key]:#.3g}" if report[key] < 1 else f"{report[key]:.4g}"
            for key in (name, f"{name}_at_start")
            if key in report
        )
        label, shown = "pixel Frechet distance", final
        if initial:
            label, shown = f"{label}, final (initial)", f"{final} ({initial[0]})"
        yield (
            f"{label}: {shown}, of {report['num_pixel_samples']:,} samples to the "
            "training data"
        )
    if f"{name}_left_out" in report:
        yield f"pixel Frechet distance: {report[f'{name}_left_out']}"


def format_digits_report(report: dict) -> str:
    """Returns the table of a `report` of `digits_report` as text."""
    cells = []
    for name, row in report["rows"].items():
        likelihood = row["log_likelihood"]
        cells.append(
            [
                name,
                "".join(f"{100 * share:4.0f}" for share in row["class_shares"]),
                f"{row['top_probability']:.3f}",
                "-" if likelihood is None else f"{likelihood:.1f}",
                f"{row['within_class_distance']:.1f}",
            ]
        )
    headings = (
        "class shares in % (0 to 9)",
        "top prob.",
        "Parzen LL",
        "within-class",
    )
    return (
        f"{_aligned(cells, headings)}\n"
        "classifier: calibrated RBF support vectors, "
        f"{100 * report['classifier_accuracy']:.1f}% on the held-out digits"
    )


# === Tables ===


def _published(report):
    """Rows of the paper's table 1, where it has the data, whose values are 0 to 1."""
    rows = PUBLISHED.get(report["protocol"]["dataset"], {})
    if not _has_likelihood(report) or not _is_unit(report):
        return {}
    return {f"{name} (2014)": {"log_likelihood": row} for name, row in rows.items()}


def _has_likelihood(report):
    return any("log_likelihood" in row for row in report["rows"].values())


def _is_unit(report):
    return tuple(report["protocol"]["value_range"] or ()) == (0.0, 1.0)


def _table(rows):
    """A line for each row, a column for each score that some row has."""
    columns = [
        column for column in _COLUMNS if any(column[0] in row for row in rows.values())
    ]
    cells = [
        [name, *(_cell(row, score, form, error) for score, _, form, error in columns)]
        for name, row in rows.items()
    ]
    return _aligned(cells, [heading for _, heading, _, _ in columns])


def _aligned(cells, headings):
    """Cells of text as columns: names to the left, all else to the right."""
    return tabulate.tabulate(
        cells,
        headers=["", *headings],
        tablefmt="plain",
        colalign=("left", *["right"] * len(headings)),
        disable_numparse=True,
    )


def _cell(row, score, form, error):
    value = row.get(score)
    if value is None:
        return "-"
    if isinstance(value, tuple | list):  # with a spread
        return f"{form.format(value[0])} +- {form.format(value[1])}"
    text = form.format(value)
    spread = row.get(error) if error else None
    if spread is not None:
        text += f" +- {form.format(spread)}"
    return text
