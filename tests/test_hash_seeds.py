"""What is read does not depend on the order in which Python happens to keep a set."""

import os
import subprocess
import sys

import pytest
from cases.rows import csv, relabelled, reviews

# Labels that sets would shuffle: spellings, gaps, capitals, a scale, numbers among words.
LABELS = ("1", "1.0", "+1", "2", "02", "3", "10", "nan", "N/A", "\u00a03", "-0", "0")
TABLE = csv(
    [
        (f"p{number % 9}", *row)
        for number, row in enumerate(
            [
                *relabelled(reviews(120, LABELS), {5: "", 50: "None"}),
                *reviews(30, ("2", "3")),  # contradictions and copies
                *[("ok", label) for label in LABELS],
            ]
        )
    ],
    ("product", "text", "label"),
)
WORDS = csv(reviews(60, ("Bad", "bad", "GOOD", "good ", "so-so", "So-So", "fair", "awful")))


# All that is decided without TensorFlow: format, columns, classes.
READ = """
import collections, pathlib
from sst_keras.settings import DataConfig
from sst_keras.tables.labels import read_labels
from sst_keras.tables.reading import open_table, rows_of
for name in ("x.csv", "words.csv"):
    table = open_table(pathlib.Path(name), DataConfig(dataset=name))
    labels = read_labels(collections.Counter(rows_of(table.blocks()).labels))
    print(table.about, table.notes(), labels, dict(labels.codes))
"""
CHECK = """
from sst_keras.cli import main
for name in ("x.csv", "words.csv"):
    main(["data", "check", name, "--json"], standalone_mode=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "seeds", "word"), [(READ, 21, "Labels("), (CHECK, 2, '"class_names"')]
)
def test_the_same_answers_with_every_hash_seed(tmp_path, code, seeds, word):
    (tmp_path / "x.csv").write_text(TABLE, "utf-8")
    (tmp_path / "words.csv").write_text(WORDS, "utf-8")
    answers = {}
    for seed in range(seeds):
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        answers[seed] = done.stdout
    assert answers[0].count(word) == 2
    assert answers == dict.fromkeys(range(seeds), answers[0])
