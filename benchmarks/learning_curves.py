"""Learning curves: accuracy by the number of texts, from an earlier run against from scratch.

    SST_KERAS_DATA=... python benchmarks/learning_curves.py FILE... --from flagship/seed1

Each FILE has a text and a label per line, with a tab between them. For each seed, a fifth of the
texts, drawn by the seed, is test. Of the others, the first 100, 300 and so on are given to both
sides: four fifths of these are train, one fifth is dev. With several files, the texts of all are
one more set. From scratch means the pipeline lstm-attention with the earlier run's vectors, and the
settings of training that fine-tune has. Records are appended as they come; what has a record is not
run again.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import records

NAME = "learning_curves"
_KEY = ("set", "texts", "seed", "start")


def read(paths: Sequence[Path]) -> tuple[list[str], np.ndarray]:
    """Returns the texts of files, and the number of the label of each."""
    lines = [line for path in paths for line in path.read_text("utf-8").split("\n") if "\t" in line]
    texts, labels = zip(*(line.rsplit("\t", 1) for line in lines), strict=True)
    names = sorted(set(labels))
    return [text.strip() for text in texts], np.array([names.index(label) for label in labels])


def parts(labels: np.ndarray, sizes: Sequence[int], seed: int) -> dict[int, dict[str, np.ndarray]]:
    """Returns for each size the rows of train, dev and test.

    Classes have their shares in each. A larger train and dev has all the texts of a smaller one,
    and test is the same for all sizes. Sizes above the number of texts are left out.
    """
    random = np.random.default_rng(seed)
    # The places of each class are spread evenly over the whole, in a random order.
    order = np.empty(len(labels))
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        order[rows] = (np.arange(len(rows)) + random.random()) / len(rows)
    rows = np.argsort(order)
    cut = len(rows) - len(rows) // 5
    found = {}
    for size in sizes:
        if size <= cut:
            given = rows[:size]
            is_dev = np.arange(size) % 5 == 4
            found[size] = {"train": given[~is_dev], "dev": given[is_dev], "test": rows[cut:]}
    return found


def write(folder: Path, texts: Sequence[str], labels: np.ndarray, rows: dict) -> None:
    """Writes train.csv, dev.csv and test.csv."""
    for split, places in rows.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("text", "label"))
            writer.writerows((texts[place], labels[place]) for place in places)


def score(folder: Path, start: str, earlier: str, seed: int) -> tuple[float, float, float]:
    """Trains on a folder's texts. Returns the accuracy on dev and on test, and the seconds."""
    from sst_keras.config import load_pipeline, with_settings
    from sst_keras.finetuning import EarlierRun
    from sst_keras.runs import new_run
    from sst_keras.training import train

    pipeline, run = load_pipeline("fine-tune"), EarlierRun.find(earlier)
    if start == "earlier run":
        pipeline = run.pipeline(pipeline)
    else:
        vectors = run.run.pipeline.embedding
        settings = {"embedding.vectors": vectors.vectors, "embedding.scale": vectors.scale}
        pipeline = with_settings(pipeline, settings)
    settings = {"data.dataset": str(folder), "training.seed": seed}
    result = train(with_settings(pipeline, settings), new_run(pipeline, folder / "run"))
    dev, test = (result.best[split].metrics.accuracy for split in ("dev", "test"))
    return dev, test, result.seconds


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--from", "earlier", required=True, metavar="RUN", help="The earlier run.")
@click.option("--sizes", default="100,300,800,2400", show_default=True, help="Numbers of texts.")
@click.option("--seeds", default=5, show_default=True)
def main(files: Sequence[Path], earlier: str, sizes: str, seeds: int) -> None:
    """Score both sides with each number of texts."""
    from sst_keras.finetuning import EarlierRun

    fingerprint = EarlierRun.find(earlier).fingerprint
    done = set()
    if records.path_of(NAME).is_file():
        done = {
            tuple(record[key] for key in _KEY)
            for record in records.read(NAME)
            if record["earlier_run"]["fingerprint"] == fingerprint
        }
    sets = {path.stem: [path] for path in files}
    if len(files) > 1:
        sets["all"] = list(files)
    for name, paths in sets.items():
        texts, labels = read(paths)
        for seed in range(1, seeds + 1):
            for size, rows in parts(labels, list(map(int, sizes.split(","))), seed).items():
                for start in ("earlier run", "scratch"):
                    if (name, size, seed, start) in done:
                        continue
                    with tempfile.TemporaryDirectory() as folder:
                        write(Path(folder), texts, labels, rows)
                        dev, test, seconds = score(Path(folder), start, earlier, seed)
                    records.append(
                        NAME,
                        ("keras", "tensorflow", "sst-keras"),
                        set=name,
                        texts=size,
                        seed=seed,
                        start=start,
                        dev=dev,
                        test=test,
                        test_texts=len(rows["test"]),
                        seconds=seconds,
                        earlier_run={"name": Path(earlier).name, "fingerprint": fingerprint},
                    )
                    click.echo(f"{name}, {size} texts, seed {seed}, {start}: test {test:.1%}")


if __name__ == "__main__":
    main()
