"""Learning curves: accuracy by the number of texts, from an earlier run against from scratch.

    SST_KERAS_DATA=... python benchmarks/learning_curves.py FILE... --from flagship/seed1

Each FILE has a text and a label per line, with a tab between them. Texts that the earlier run was
trained on are left out. For each seed, a fifth of the others, drawn by the seed, is test. Of the
rest, the first 100, 300 and so on are given to both sides: four fifths of these are train, one
fifth is dev. With several files, the texts of all are one more set.

From scratch means the pipeline lstm-attention with the earlier run's vectors. It is trained with
its own settings and with those of fine-tune, and the one with the higher dev accuracy counts.
Records are appended as they come; what has a record is not run again. At the end, the
curves are drawn into docs/learning-curves.png.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

import click
import numpy as np
import records

NAME = "learning_curves"
STARTS = ("scratch", "earlier run")
DOCS = Path(__file__).parents[1] / "docs"
_KEY = ("set", "texts", "seed", "start", "recipe")
# What is trained: where the weights start, and the pipeline whose settings of training count.
_TRAINED = (
    ("scratch", "lstm-attention"), ("scratch", "fine-tune"), ("earlier run", "fine-tune"),
)  # fmt: skip


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


def score(
    folder: Path, start: str, recipe: str, earlier: str, seed: int
) -> tuple[float, float, float]:
    """Trains on a folder's texts. Returns the accuracy on dev and on test, and the seconds."""
    from sst_keras.config import load_pipeline, with_settings
    from sst_keras.finetuning import EarlierRun
    from sst_keras.runs import new_run
    from sst_keras.training import train

    pipeline, run = load_pipeline(recipe), EarlierRun.find(earlier)
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


def scores() -> dict[tuple[str, int], dict[str, list[float]]]:
    """Returns the test accuracies over seeds by set and number of texts, and by start.

    They are those from the last earlier run that has records, of seeds with all that is trained.
    """
    rows = records.read(NAME)
    last = rows[-1]["earlier_run"]["fingerprint"]
    by_seed: dict[tuple, dict[tuple[str, str], tuple[float, float]]] = {}
    for row in rows:
        if row["earlier_run"]["fingerprint"] == last:
            scores_of = by_seed.setdefault(tuple(row[name] for name in _KEY[:3]), {})
            scores_of[row["start"], row["recipe"]] = row["dev"], row["test"]
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for (name, texts, _), of in by_seed.items():
        if set(of) != set(_TRAINED):
            continue
        sides = found.setdefault((name, texts), {start: [] for start in STARTS})
        for start in STARTS:
            best = max((of[key] for key in _TRAINED if key[0] == start), key=itemgetter(0))
            sides[start].append(best[1])
    # The union of all sets comes last.
    return dict(sorted(found.items(), key=lambda each: (each[0][0] == "all", *each[0])))


def unseen(texts: Sequence[str], known: np.ndarray) -> np.ndarray:
    """Returns bool[texts], whether the key of a text is not one of `known`."""
    from sst_keras.texts import TextReader

    reader = TextReader()
    reader.add(texts)
    return ~np.isin(reader.finish().keys(), known)


def draw(found: dict[tuple[str, int], dict[str, list[float]]]) -> None:
    """Draws the means of both starts by the number of texts, with bars of standard deviation."""
    from sst_keras.plotting import STYLES, add_legend, new_figure, save_figures, style_axis

    names = list(dict.fromkeys(name for name, _ in found))
    title = "Test accuracy by the number of labelled texts"
    figure = new_figure(title, "", width=max(3 * len(names), 5), height=3.4)
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, names, strict=True):
        style_axis(axis, "accuracy")
        axis.set_title(name)
        sizes = [texts for other, texts in found if other == name]
        for start, (colour, line) in zip(STARTS, STYLES, strict=False):
            values = [found[name, size][start] for size in sizes]
            means, deviations = (
                [np.mean(each) for each in values],
                [np.std(each, ddof=1) for each in values],
            )
            axis.errorbar(sizes, means, deviations, c=colour, ls=line, marker=".", capsize=2)
        axis.set_xscale("log")
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.minorticks_off()
        axis.set_xlabel("Texts")
    add_legend(figure, axes[0].containers, [f"from {start}" for start in STARTS])
    save_figures({"learning-curves": figure}, DOCS, dpi=100)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--from", "earlier", required=True, metavar="RUN", help="The earlier run.")
@click.option("--sizes", default="100,300,790", show_default=True, help="Numbers of texts.")
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(min=2))
def main(files: Sequence[Path], earlier: str, sizes: str, seeds: int) -> None:
    """Score both sides with each number of texts."""
    from sst_keras.finetuning import EarlierRun

    run = EarlierRun.find(earlier)
    fingerprint, known = run.fingerprint, run.run.training_texts()
    done = set()
    if records.path_of(NAME).is_file():
        done = {
            tuple(record[key] for key in _KEY)
            for record in records.read(NAME)
            if record["earlier_run"]["fingerprint"] == fingerprint
        }
    sets = {path.stem.removesuffix("_labelled"): [path] for path in files}
    if len(files) > 1:
        sets["all"] = list(files)
    for name, paths in sets.items():
        texts, labels = read(paths)
        kept = np.flatnonzero(unseen(texts, known))
        left_out = len(texts) - len(kept)
        texts, labels = [texts[row] for row in kept], labels[kept]
        for seed in range(1, seeds + 1):
            for size, rows in parts(labels, list(map(int, sizes.split(","))), seed).items():
                for start, recipe in _TRAINED:
                    if (name, size, seed, start, recipe) in done:
                        continue
                    with tempfile.TemporaryDirectory() as folder:
                        write(Path(folder), texts, labels, rows)
                        dev, test, seconds = score(Path(folder), start, recipe, earlier, seed)
                    records.append(
                        NAME,
                        ("keras", "tensorflow", "sst-keras"),
                        set=name,
                        texts=size,
                        seed=seed,
                        start=start,
                        recipe=recipe,
                        left_out=left_out,
                        dev=dev,
                        test=test,
                        test_texts=len(rows["test"]),
                        seconds=seconds,
                        earlier_run={"name": Path(earlier).name, "fingerprint": fingerprint},
                    )
                    click.echo(
                        f"{name}, {size} texts, seed {seed}, {start}, {recipe}: test {test:.1%}"
                    )
    draw(scores())


if __name__ == "__main__":
    main()
