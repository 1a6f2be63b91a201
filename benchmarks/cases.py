"""Trainings that leave a line each in a file, so that a stopped command goes on."""

import json
import pathlib


def run(output, cases, trained):
    """Runs the cases that have no line in the file yet, and returns all rows of it.

    Args:
        output: path-like, a file with a JSON object in each line.
        cases: iterable of dicts, what tells one training from the others.
        trained: function of a case to a dict of what came out of it.

    Returns:
        list of dicts, each a case with what came out of it, of other cases as well.
    """
    output = pathlib.Path(output)
    rows = []
    if output.exists():
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    for case in cases:
        if any(case.items() <= row.items() for row in rows):
            continue
        rows.append({**case, **trained(case)})
        with output.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    return rows
