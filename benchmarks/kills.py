"""Trainings that are killed at random moments go on to the same end as undisturbed ones.

    python benchmarks/kills.py                                                        # the sample
    python benchmarks/kills.py --kills 10 --settings data.examples=unique-phrases     # phrases
    python benchmarks/kills.py --search --kills 3                                     # a search

A training is killed by SIGKILL at a random moment, anywhere from its start to its end, and started
again by the same command until it is finished. Then its history (but for times), its weights and
its scores are compared with those of an undisturbed training. The trainings are saved after each
check of dev.

With `--search`, a search of 20 small trainings is killed so many times on its way to the end. Then
its trials and the best settings are compared with those of an undisturbed search.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import click
import numpy as np
import records

NAME = "kills"
# A training is saved at most once a minute, which is longer than these take.
_TRAIN = """
import sys
from sst_keras import checkpoints
from sst_keras.cli import main
checkpoints.SECONDS = 0.0
main(["train", *sys.argv[1:]])
"""
# Its last trials are late enough to be stopped early.
_SEARCH = """
pipeline = "mlp"
seeds = 1
[base]
data.dataset = "sample"
training.epochs = 3
[search]
model.units = { low = 4, high = 64, log = true }
training.learning_rate = { low = 1e-5, high = 1e-1, log = true }
"""
_TRIALS = 20


def end_of_search(folder: Path) -> tuple[list[dict[str, object]], str]:
    """Returns what must be equal: the trials in order, and the best settings."""
    _, *lines = (folder / "trials.jsonl").read_text("utf-8").splitlines()
    trials = sorted(map(json.loads, lines), key=lambda trial: trial["number"])
    return trials, (folder / "best.toml").read_text("utf-8")


def kill_a_search(kills: int, rng: np.random.Generator) -> bool:
    """Kills a search some times, and returns whether it ends as an undisturbed one."""
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder = Path(name)
        (folder / "s.toml").write_text(_SEARCH, "utf-8")

        def start(records_in: str) -> subprocess.Popen:
            command = [sys.executable, "-m", "sst_keras", "search", "s.toml", "--jobs", "1"]
            command += ["--trials", str(_TRIALS), "--records", records_in]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            return subprocess.Popen(command, cwd=folder, **quiet)

        before = time.monotonic()
        if start("whole").wait():
            raise click.ClickException("The undisturbed search failed.")
        seconds = time.monotonic() - before
        made = []
        for _ in range(kills):
            process = start("killed")
            try:
                process.wait(rng.uniform(0.2, 0.6) * seconds)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                log = folder / "killed" / "trials.jsonl"
                made.append(log.read_text("utf-8").count("\n") - 1 if log.is_file() else 0)
        if start("killed").wait():
            raise click.ClickException("The search that was killed does not go on.")
        trials, best = end_of_search(folder / "whole")
        is_equal = end_of_search(folder / "killed") == (trials, best)
    pruned = sum(bool(trial["is_pruned"]) for trial in trials)
    records.append(
        NAME, ("keras", "tensorflow", "optuna", "sst-keras"), what="search", trials=_TRIALS,
        pruned=pruned, seconds=round(seconds, 1), trials_before_kills=made, equal=is_equal,
    )  # fmt: skip
    print(
        f"A search of {_TRIALS} trials, {pruned} of them stopped early, was killed after "
        f"{', '.join(map(str, made))} trials. Its end is {'' if is_equal else 'not '}that of an "
        f"undisturbed search."
    )
    return is_equal


def end_of(run: Path) -> tuple[list[str], dict[str, object], bytes]:
    """Returns what must be equal: the history without times, the scores, and the weights' bytes."""
    rows = [line.split(",") for line in (run / "history.csv").read_text("utf-8").splitlines()]
    timed = [rows[0].index(name) for name in ("seconds", "examples_per_second")]
    history = [
        ",".join(cell for place, cell in enumerate(row) if place not in timed) for row in rows
    ]
    metrics = json.loads((run / "metrics.json").read_text("utf-8"))
    scores = {name: metrics[name] for name in ("dev", "test", "best_epoch")}
    with zipfile.ZipFile(run / "model.keras") as model:
        weights = model.read("model.weights.h5")
    return history, scores, weights


def differs(one: tuple, other: tuple) -> str:
    """Returns what differs between two ends; empty if nothing does."""
    import io

    import h5py

    if one[:2] != other[:2]:
        return "history" if one[0] != other[0] else "scores"

    def arrays(content: bytes) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        with h5py.File(io.BytesIO(content)) as file:

            def keep(name: str, item: object) -> None:
                if isinstance(item, h5py.Dataset):
                    found[name] = item[()]

            file.visititems(keep)
        return found

    first, second = arrays(one[2]), arrays(other[2])
    same = first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )
    return "" if same else "weights"


@click.command()
@click.option("--kills", default=50, show_default=True)
@click.option("--dataset", default="sample", show_default=True)
@click.option("--settings", multiple=True, metavar="SETTING=VALUE")
@click.option("--epochs", default=12, show_default=True)
@click.option("--seed", default=1, show_default=True, help="The seed of the moments.")
@click.option("--search", is_flag=True, help="Kill a search instead.")
def main(
    kills: int, dataset: str, settings: tuple[str, ...], epochs: int, seed: int, search: bool
) -> None:
    """Kill trainings of lstm-attention, and compare where they end."""
    if search:
        sys.exit(not kill_a_search(kills, np.random.default_rng(seed)))
    given = ["--dataset", dataset, "--epochs", str(epochs), "--set", "model.units=16"]
    given += [part for setting in settings for part in ("--set", setting)]
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:

        def start(run: str) -> subprocess.Popen:
            command = [sys.executable, "-c", _TRAIN, *given, "--run-dir", str(Path(folder, run))]
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        before = time.monotonic()
        if start("whole").wait():
            raise click.ClickException("The undisturbed training failed.")
        seconds = time.monotonic() - before
        whole = end_of(Path(folder, "whole"))
        different, killed, resumed = [], 0, 0
        with click.progressbar(range(kills), label="Killing") as numbers:
            for number in numbers:
                run = f"run{number}"
                process = start(run)
                try:
                    process.wait(rng.uniform(0, seconds))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    killed += 1
                    place = Path(folder, run)
                    resumed += (place / "checkpoint.npz").is_file()
                    if not (place / "metrics.json").is_file() and start(run).wait():
                        different.append(f"{number}: failed")
                        continue
                if problem := differs(whole, end_of(Path(folder, run))):
                    different.append(f"{number}: {problem}")
    record = records.append(
        NAME,
        ("keras", "tensorflow", "numpy", "sst-keras"),
        dataset=dataset,
        settings=list(settings),
        epochs=epochs,
        seconds=round(seconds, 1),
        trainings=kills,
        killed=killed,
        from_a_checkpoint=resumed,
        different=different,
    )
    print(
        f"{record['killed']} of {kills} trainings were killed, {resumed} of them with a checkpoint "
        f"to go on from; {len(different)} ended otherwise than the undisturbed one. {different}"
    )
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
