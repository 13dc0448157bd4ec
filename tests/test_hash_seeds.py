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


def answers(folder, seed):
    """Returns what a process with that hash seed answers to both tables."""
    code = (
        "from sst_keras.cli import main\n"
        "for name in ('x.csv', 'words.csv'):\n"
        "    main(['data', 'check', name, '--json'], standalone_mode=False)\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr.splitlines()[-1:]


@pytest.mark.slow
def test_the_same_answers_with_every_hash_seed(tmp_path):
    (tmp_path / "x.csv").write_text(TABLE, "utf-8")
    (tmp_path / "words.csv").write_text(WORDS, "utf-8")
    first = answers(tmp_path, 0)
    assert '"class_names"' in first[1], first
    assert {seed: answers(tmp_path, seed) for seed in range(1, 21)} == dict.fromkeys(
        range(1, 21), first
    )
