"""SST-5 as a skewed set of two classes: positive sentences, and so few negative ones, 14 %.

    SST_KERAS_DATA=... python benchmarks/skew.py skewed

It writes train.csv, dev.csv and test.csv into a folder. Two commands show what weights are worth:

    sst-keras train --dataset skewed
    sst-keras train --dataset skewed --set data.class_weights=balanced
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import numpy as np

from sst_keras import files

SHARE = 0.14  # of the texts that are negative


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the sentences of SST-5 that are not neutral as OUT/train.csv, dev.csv, test.csv."""
    from sst_keras.corpora import SPLITS, load_corpus
    from sst_keras.settings import DataConfig

    corpus = load_corpus(DataConfig())
    random = np.random.default_rng(1)
    for name in SPLITS:
        split = corpus.split(name)
        positive, negative = np.flatnonzero(split.labels > 2), np.flatnonzero(split.labels < 2)
        few = round(len(positive) * SHARE / (1 - SHARE))
        chosen = random.permutation(np.append(positive, random.permutation(negative)[:few]))
        with files.whole_file(out / f"{name}.csv") as partial:
            with partial.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("text", "label"))
                for row in chosen:
                    tokens, label = split.row(row)
                    writer.writerow((" ".join(tokens), "positive" if label > 2 else "negative"))
        click.echo(f"{out / name}.csv: {len(positive):,} positive, {few:,} negative")


if __name__ == "__main__":
    main()
