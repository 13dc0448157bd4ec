"""Wall time of complete commands and of their parts.

    SST_KERAS_DATA=... python benchmarks/epoch.py

The main pipeline for two epochs of sentences, and a BiLSTM of 150 units for one epoch of SST-5's
159,274 distinct phrases, both with tuned 300-dimensional vectors. A first run warms the caches.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import click
import records

COMMANDS = {
    "sentences": ["lstm-attention", "--epochs", "2"],
    "phrases": [
        *("lstm-attention", "--epochs", "1", "--set", "data.examples=unique-phrases"),
        *("--set", "model.units=150", "--set", "model.bidirectional=true"),
    ],
}
# `sst-keras`, with notes of when its steps begin and end.
_CODE = """
import json, time
from sst_keras.callbacks import HistoryLogger, StopOnNaN
from sst_keras.cli import main
times = {}
check, end = StopOnNaN.on_train_batch_end, HistoryLogger.on_epoch_end
def first(self, batch, logs=None):
    check(self, batch, logs)
    times.setdefault("first_steps", time.time())  # the first execution: eight steps
def last(self, epoch, logs=None):
    end(self, epoch, logs)
    times["last_epoch_end"] = time.time()
    times["epochs"] = [row["seconds"] for row in self.rows]
StopOnNaN.on_train_batch_end, HistoryLogger.on_epoch_end = first, last
try:
    main()
finally:
    print(json.dumps(times))
"""


def run(arguments: list[str], vectors: str) -> dict:
    """Runs a command; returns its times in seconds and its test accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.time()
        done = subprocess.run(
            [sys.executable, "-c", _CODE, "train", *arguments, "--vectors", vectors]
            + ["--run-dir", f"{folder}/run", "--json"],
            capture_output=True,
            text=True,
        )
        ended = time.time()
    if done.returncode:
        raise SystemExit(done.stderr)
    result, times = map(json.loads, done.stdout.splitlines()[-2:])
    return {
        "wall": ended - started,
        "to_first_steps": times["first_steps"] - started,
        "epochs": times["epochs"],
        "last_epoch_end_to_exit": ended - times["last_epoch_end"],
        "test_accuracy": result["test"]["accuracy"],
    }


@click.command()
@click.option("--vectors", default="googlenews.300d.sst", show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.argument("names", nargs=-1)
def main(vectors: str, repeats: int, names: tuple[str, ...]) -> None:
    """Time NAMES (sentences, phrases), or both; writes one record for each."""
    if not os.environ.get("SST_KERAS_DATA"):
        raise click.UsageError("SST_KERAS_DATA must name a folder with SST-5 and word vectors.")
    for name in names or COMMANDS:
        run(COMMANDS[name], vectors)  # warms the caches
        runs = [run(COMMANDS[name], vectors) for _ in range(repeats)]
        median = {
            part: statistics.median(one[part] for one in runs)
            for part in ("wall", "to_first_steps", "last_epoch_end_to_exit")
        }
        median["last_epoch"] = statistics.median(one["epochs"][-1] for one in runs)
        records.append(
            "epoch",
            ("tensorflow", "keras", "numpy", "tensorflow-datasets"),
            name=name,
            command=["sst-keras", "train", *COMMANDS[name]],
            vectors=vectors,
            repeats=repeats,
            median_seconds=median,
            runs=runs,
        )
        click.echo(f"{name}: " + ", ".join(f"{k} {v:.1f} s" for k, v in median.items()))


if __name__ == "__main__":
    main()
