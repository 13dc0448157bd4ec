"""Reading a table of a million short reviews: `load_corpus` against pandas.

    SST_KERAS_DATA=... python benchmarks/tables.py               1,000,000 rows, 0.2 GB of disk
    SST_KERAS_DATA=... python benchmarks/tables.py --rows 50000  smaller, to try it out

The rows are pieces of the IMDB reviews below `tensorflow_datasets/`, of about 190 characters, cut
between words, with a label from 1 to 5 in turn, as Python's csv writes them. Once all reviews are
cut, they are cut again from another place. Without these reviews, the rows are sentences of the
bundled sample's grammar, which repeat much more.

Each load runs in a separate process, and the sides take turns. Ours finds the format, tokenizes,
counts copies and splits; `pandas.read_csv` only reads; with `str.split` it also cuts at white
space, the least that a tokenizer does. Times and memory are those of the load, after all imports.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import count, cycle, islice
from pathlib import Path

import click
import records

from sst_keras import locations, treebank

LENGTH = 190  # characters of a row's text, at most
SHIFT = 61  # characters by which a later cut of the same reviews starts later
SIDES = {
    "ours": (
        "from sst_keras.corpora import load_corpus\nfrom sst_keras.settings import DataConfig\n"
        "from sst_keras.runtime import tf",
        "corpus = load_corpus(DataConfig(dataset={path!r}))\n"
        "rows = sum(len(corpus.split(name)) for name in ('train', 'dev', 'test'))",
    ),
    "pandas": ("import pandas as pd", "frame = pd.read_csv({path!r})\nrows = len(frame)"),
    "pandas and str.split": (
        "import pandas as pd",
        "frame = pd.read_csv({path!r})\ntokens = [text.split() for text in frame['text']]\n"
        "rows = len(tokens)",
    ),
}
# VmRSS is the memory in use, VmHWM its peak, of this process.
CHILD = """
import json, re, time
def memory(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
{imports}
before, started = memory("VmRSS"), time.perf_counter()
{load}
seconds = time.perf_counter() - started
peak = memory("VmHWM")
print(json.dumps({{"rows": rows, "seconds": seconds, "peak": peak, "above": peak - before}}))
"""


def reviews(data: Path) -> Iterator[str]:
    """Yields the IMDB reviews of a data folder."""
    import tensorflow_datasets as tfds

    source = data / "tensorflow_datasets"
    dataset = tfds.load("imdb_reviews", split="train+test+unsupervised", data_dir=source)
    for row in tfds.as_numpy(dataset):
        yield row["text"].decode("utf-8")


def pieces(data: Path) -> Iterator[str]:
    """Yields pieces of the reviews, without end."""
    for time in count():
        for text in reviews(data):
            start = SHIFT * time
            while len(text) - start > LENGTH:
                end = text.rfind(" ", start, start + LENGTH)
                end = end if end > start else start + LENGTH
                yield text[start:end].strip()
                start = end


def sample_sentences() -> Iterator[str]:
    """Yields the bundled sample's sentences, without end, in fours."""
    trees = treebank.read_trees(locations.bundled("sample") / "train.txt")
    sentences = cycle([" ".join(tree.root_example().tokens) for tree in trees])
    while True:
        yield " ".join(islice(sentences, 4))


def make_table(path: Path, rows: int) -> str:
    """Writes a table of two columns, text and label. Returns what its texts are."""
    data = os.environ.get("SST_KERAS_DATA")
    if data and (Path(data) / "tensorflow_datasets/imdb_reviews").is_dir():
        texts, source = pieces(Path(data)), "pieces of IMDB reviews"
    else:
        texts, source = sample_sentences(), "sentences of the bundled sample"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((text, number % 5 + 1) for number, text in enumerate(islice(texts, rows)))
    return source


def measure(imports: str, load: str) -> dict[str, float]:
    """Loads in a new process; returns rows, seconds, and bytes: the peak, and above the start."""
    command = [sys.executable, "-c", CHILD.format(imports=imports, load=load)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


@click.command()
@click.option("--rows", default=1_000_000, show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False), help="Where the file is made.")
def main(rows: int, repeats: int, folder: str | None) -> None:
    """Compare the loads; writes a record."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary) / "reviews.csv"
        click.echo(f"Making {path.name}: {rows:,} rows ...", err=True)
        source = make_table(path, rows)
        click.echo(f"The texts are {source}.", err=True)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in SIDES}
        for _ in range(repeats):
            for name, (imports, load) in SIDES.items():
                runs[name].append(measure(imports, load.format(path=str(path))))
                assert runs[name][-1]["rows"] == rows, (name, runs[name][-1])
        medians = {
            key: {name: statistics.median(run[key] for run in runs[name]) for name in runs}
            for key in ("seconds", "peak", "above")
        }
        records.append(
            "tables",
            ("tensorflow", "pandas", "sst-keras"),
            rows=rows,
            texts=source,
            file_gb=path.stat().st_size / 1e9,
            repeats=repeats,
            seconds=medians["seconds"],
            rows_per_second={name: rows / value for name, value in medians["seconds"].items()},
            peak_memory_gb={name: value / 1e9 for name, value in medians["peak"].items()},
            memory_above_start_gb={name: value / 1e9 for name, value in medians["above"].items()},
        )
        for name in SIDES:
            seconds, peak, above = (medians[key][name] for key in ("seconds", "peak", "above"))
            click.echo(
                f"{name}: {seconds:.1f} s, {rows / seconds:,.0f} rows/s; peak memory "
                f"{peak / 1e9:.2f} GB, {above / 1e9:.2f} GB above the start"
            )


if __name__ == "__main__":
    main()
