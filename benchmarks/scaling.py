"""How time grows with examples, epochs, sentence length, units and batch size; start-up times.

    SST_KERAS_DATA=... python benchmarks/scaling.py

The examples are distinct phrases of SST-5 in a CSV table, like a user's own reviews, and the
command is `sst-keras train`. The first epoch is not timed, because TensorFlow makes its graph in
it.
"""

from __future__ import annotations

import csv
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import records
from sides import Data, make_model, milliseconds_a_step, repeated_batch, tf

from sst_keras import training
from sst_keras.cli import COMMANDS
from sst_keras.corpora import load_corpus
from sst_keras.history import read_history
from sst_keras.settings import DataConfig

VERSIONS = ("tensorflow", "keras", "numpy")
_EXAMPLES = 9_954  # sixteen times this is all of SST-5's distinct phrases
_COMMAND = """
import resource, sys
from sst_keras.cli import main
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def train_on_table(path: Path, epochs: int, vectors: str) -> dict[str, float]:
    """Trains on a table in a separate process; returns its seconds and gigabytes."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _COMMAND, "train", "--dataset", str(path), "--json"]
            + ["--vectors", vectors, "--epochs", str(epochs), "--set", "training.patience=0"]
            + ["--run-dir", f"{folder}/run"],
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(done.stderr)
        epoch = read_history(Path(folder) / "run" / "history.csv").column("seconds")
    return {
        "command_seconds": seconds,
        "epoch_seconds": statistics.median(epoch[1:]),
        "peak_memory_gb": int(done.stdout.split()[-1]) * 1024 / 1e9,
    }


def write_table(path: Path, count: int) -> None:
    """Writes `count` random ones of SST-5's distinct phrases."""
    phrases = load_corpus(DataConfig(dataset="sst5", examples="phrases"))
    split = phrases.training_split("unique-phrases")
    texts = tf.strings.reduce_join(split.tokens, axis=-1, separator=" ").numpy()
    rows = random.Random(1).sample(range(len(split)), min(count, len(split)))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((texts[row].decode(), split.labels[row]) for row in rows)


def examples(vectors: str, repeats: int) -> None:
    """Measures 1, 4 and 16 times the examples, then twelve epochs instead of three."""
    with tempfile.TemporaryDirectory() as folder:
        for factor, epochs in ((1, 3), (4, 3), (16, 3), (1, 12)):
            path = Path(folder) / f"{factor}.csv"
            if not path.exists():
                write_table(path, factor * _EXAMPLES)
            runs = [train_on_table(path, epochs, vectors) for _ in range(repeats)]
            measured = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
            record = {"what": "examples", "factor": factor, "examples": factor * _EXAMPLES}
            records.append(
                "scaling", VERSIONS, **record, epochs=epochs, repeats=repeats, **measured
            )
            click.echo(f"{factor}x, {epochs} epochs: {measured}")


def step(data: Data, units: int, batch: int, length: int, repeats: int) -> float:
    """Returns the median milliseconds of a training step over texts of one length."""
    settings = {"units": units, "num_layers": 1, "bidirectional": False, "tuned": False}
    model, dataset = make_model(data, settings), repeated_batch(batch, length)
    count = training.STEPS_PER_EXECUTION
    milliseconds_a_step(model, dataset, 2 * count)
    return statistics.median(milliseconds_a_step(model, dataset, count) for _ in range(repeats))


def steps(repeats: int) -> None:
    """Measures a step by sentence length, units and batch size, one at a time."""
    tf.config.experimental.enable_op_determinism()  # as in training
    data = Data()
    base = {"units": 128, "batch": 64, "length": 20}
    for name, values in {
        "length": (5, 10, 20, 40, 80),
        "units": (64, 128, 256, 512),
        "batch": (16, 32, 64, 128, 256),
    }.items():
        for value in values:
            setting = base | {name: value}
            milliseconds = step(data, **setting, repeats=repeats)
            records.append("scaling", VERSIONS, what=name, **setting, step_ms=milliseconds)
            click.echo(f"{name} {value}: {milliseconds:.1f} ms")


def start_up(repeats: int) -> None:
    """Measures `--help` of each command, and the commands that need no model."""
    lines = [["--help"], *([name, "--help"] for name in COMMANDS), ["pipelines"], ["runs"]]
    for arguments in lines:
        times = []
        for _ in range(repeats):
            command = [sys.executable, "-m", "sst_keras", *arguments]
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - started)
        seconds = statistics.median(times)
        records.append(
            "scaling", VERSIONS, what="start-up", command=" ".join(arguments), seconds=seconds
        )
        click.echo(f"sst-keras {' '.join(arguments)}: {seconds:.3f} s")


@click.command()
@click.option("--vectors", default="glove.6B.50d.sst", show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.argument("parts", nargs=-1, type=click.Choice(["examples", "steps", "start-up"]))
def main(vectors: str, repeats: int, parts: tuple[str, ...]) -> None:
    """Measure PARTS, or all of them; writes one record per measurement."""
    for part in parts or ("examples", "steps", "start-up"):
        if part == "examples":
            examples(vectors, repeats)
        elif part == "steps":
            steps(5 * repeats)
        else:
            start_up(2 * repeats + 1)


if __name__ == "__main__":
    main()
