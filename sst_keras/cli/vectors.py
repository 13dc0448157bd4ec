"""`sst-keras vectors`: fetch word vectors, cut them to a data set, describe them."""

from __future__ import annotations

from pathlib import Path

import click

from sst_keras.cli import options


@click.group()
def vectors() -> None:
    """Fetch word vectors, cut them to a data set, describe them, list a word's neighbours."""


@vectors.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch NAME, such as glove-wiki-gigaword-300, with gensim's downloader."""
    from sst_keras.vectors.sets import fetch_vectors

    click.echo(fetch_vectors(name))


@vectors.command()
@click.argument("name", metavar="NAME|PATH")
@options.dataset
@options.data_dir
@click.option(
    "--most-frequent",
    type=click.IntRange(0),
    help="Also keep this many of the file's first words. 0 keeps only those of the data set.  "
    "[default: that of data.vector_words]",
)
@click.option(
    "--out",
    metavar="FILE",
    help="File to write.  [default: vectors/NAME.DATASET.txt.gz in the user's cache]",
)
def subset(
    name: str,
    dataset: str | None,
    data_dir: str | None,
    most_frequent: int | None,
    out: str | None,
) -> None:
    """Write the vectors that a data set needs, by default SST-5, to a file of their own.

    Training with the subset gives the same result as training with the complete file, as long as
    data.vector_words is at most --most-frequent.
    """
    from sst_keras.corpora import SPLITS, load_corpus
    from sst_keras.encoder import count_tokens
    from sst_keras.locations import cache_dir
    from sst_keras.settings import DataConfig
    from sst_keras.vectors.files import set_name
    from sst_keras.vectors.sets import find_vectors, write_subset

    path = find_vectors(name, data_dir)
    data = DataConfig(dataset=dataset or "sst5")
    corpus = load_corpus(data, data_dir=data_dir)
    tokens = {
        token
        for split in SPLITS
        for lowercase in (True, False)
        for token in count_tokens(corpus.split(split), lowercase)
    }
    default = f"{set_name(path)}.{Path(corpus.name).stem}.txt.gz"
    file = Path(out) if out else cache_dir() / "vectors" / default
    count = data.vector_words if most_frequent is None else most_frequent
    written = write_subset(path, tokens, file, count)
    size = file.stat().st_size / 1e6
    click.echo(f"{file}: {len(written.words):,} words of {written.dim} numbers, {size:,.1f} MB")


@vectors.command()
@click.argument("name", metavar="[NAME|PATH]", required=False)
@options.data_dir
@options.as_json
def info(name: str | None, data_dir: str | None, as_json: bool) -> None:
    """Describe a set of vectors and check its every row; without a name, list all sets."""
    from sst_keras.files import to_json
    from sst_keras.vectors.sets import available_vectors, describe, find_vectors

    if name is None:
        found = {key: str(path) for key, path in available_vectors(data_dir).items()}
        if as_json:
            click.echo(to_json({"vectors": found}))
        elif not found:
            click.echo("No vectors. Fetch some with `sst-keras vectors fetch NAME`.")
        else:
            width = max(map(len, found))
            for key, path in found.items():
                click.echo(f"{key:<{width}}  {path}")
        return
    described = describe(find_vectors(name, data_dir))
    if as_json:
        click.echo(to_json(described))
        return
    for key, value in described.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        shown = f"{shown:,}" if isinstance(shown, int) else shown
        click.echo(f"{key.replace('_', ' '):<12} {shown}")


@vectors.command()
@click.argument("name", metavar="NAME|PATH")
@click.argument("words", metavar="WORD...", nargs=-1, required=True)
@click.option(
    "-n", "count", type=click.IntRange(1), default=10, show_default=True, help="How many."
)
@options.data_dir
@options.as_json
def nearest(
    name: str, words: tuple[str, ...], count: int, data_dir: str | None, as_json: bool
) -> None:
    """List the words nearest to each WORD, by cosine."""
    from sst_keras.files import to_json
    from sst_keras.vectors.sets import find_vectors
    from sst_keras.vectors.sets import nearest as nearest_words

    found = nearest_words(find_vectors(name, data_dir), words, count)
    if as_json:
        click.echo(to_json({"vectors": name, "nearest": found}))
        return
    for word, neighbours in found.items():
        shown = ", ".join(f"{neighbour} {cosine:.2f}" for neighbour, cosine in neighbours)
        click.echo(f"{word}: {shown}")
