"""`sst-keras vectors`: fetch word vectors, cut them to a data set, describe them."""

from pathlib import Path

import click

from sst_keras.cli import SUBCOMMAND, options
from sst_keras.files import to_json
from sst_keras.settings import DataConfig, EmbeddingConfig

_key_pattern = click.option(
    "--key-pattern",
    metavar="PATTERN",
    default=EmbeddingConfig().key_pattern,
    show_default=True,
    help="How the file writes a word, such as /c/en/{word} or {word}_{tag}.",
)


@click.group()
@click.pass_context
def vectors(ctx: click.Context) -> None:
    """Fetch, cut, describe and search word vectors."""
    ctx.meta[SUBCOMMAND] = ctx.invoked_subcommand


@vectors.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch NAME, such as glove-wiki-gigaword-50, with gensim's downloader."""
    from sst_keras.vectors.sets import fetch_vectors

    click.echo(fetch_vectors(name))


@vectors.command()
@click.argument("name", metavar="NAME|PATH")
@options.dataset
@options.data_dir
@options.reading()
@click.option(
    "--most-frequent",
    type=click.IntRange(0),
    default=DataConfig().vector_words,
    show_default=True,
    help="Also keep this many of the file's first words. 0 keeps only those of the data set.",
)
@_key_pattern
@click.option(
    "--out",
    metavar="FILE",
    help="File to write.  [default: vectors/NAME.DATASET.txt.gz in the user's cache]",
)
def subset(
    name: str, most_frequent: int, key_pattern: str, out: str | None, **source: str | None
) -> None:
    """Write the vectors that a data set needs, by default SST-5, to a file of their own.

    NAME|PATH may also be a file in a zip: glove.6B.zip/glove.6B.300d.txt.

    Training with the subset gives the same result as training with the complete file, as long as
    data.vector_words is at most --most-frequent.
    """
    from sst_keras.corpora import SPLITS
    from sst_keras.encoder import count_tokens
    from sst_keras.locations import cache_dir
    from sst_keras.vectors.files import set_name
    from sst_keras.vectors.sets import find_vectors, write_subset

    path = find_vectors(name, source["data_dir"])
    corpus = options.read_corpus(**source)
    tokens = {
        token
        for split in SPLITS
        for lowercase in (True, False)
        for token in count_tokens(corpus.split(split), lowercase)
    }
    default = cache_dir() / "vectors" / f"{set_name(path)}.{Path(corpus.name).stem}.txt.gz"
    file = Path(out or default)
    written = write_subset(path, tokens, file, most_frequent, key_pattern)
    size = file.stat().st_size / 1e6
    click.echo(f"{file}: {len(written.words):,} words of {written.dim} numbers, {size:,.1f} MB")


@vectors.command()
@click.argument("name", metavar="[NAME|PATH]", required=False)
@_key_pattern
@options.data_dir
@options.as_json
def info(name: str | None, key_pattern: str, data_dir: str | None, as_json: bool) -> None:
    """Describe a set of vectors and check each of its rows; without a name, list all sets."""
    from sst_keras.vectors.sets import available_vectors, describe, find_vectors

    if name is None:
        shown = {key: str(path) for key, path in available_vectors(data_dir).items()}
        answer = {"vectors": shown}
    else:
        answer = describe(find_vectors(name, data_dir), key_pattern)
        shown = {key.replace("_", " "): value for key, value in answer.items()}
    if as_json:
        click.echo(to_json(answer))
    elif not shown:
        click.echo("No vectors. Fetch some with `sst-keras vectors fetch NAME`.")
    else:
        width = max(map(len, shown))
        for key, value in shown.items():
            value = ", ".join(value) if isinstance(value, list) else value
            value = f"{value:,}" if isinstance(value, int) else value
            click.echo(f"{key:<{width}}  {value}")


@vectors.command()
@click.argument("name", metavar="NAME|PATH")
@click.argument("words", metavar="WORD...", nargs=-1, required=True)
@options.count
@_key_pattern
@options.data_dir
@options.as_json
def nearest(
    name: str,
    words: tuple[str, ...],
    count: int,
    key_pattern: str,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """List the words nearest to each WORD, by cosine."""
    from sst_keras.vectors.sets import find_vectors
    from sst_keras.vectors.sets import nearest as nearest_words

    path = find_vectors(name, data_dir)
    found = nearest_words(path, words, count, key_pattern=key_pattern)
    if as_json:
        click.echo(to_json({"vectors": name, "nearest": found}))
        return
    for word, neighbours in found.items():
        shown = ", ".join(f"{neighbour} {cosine:.2f}" for neighbour, cosine in neighbours)
        click.echo(f"{word}: {shown}")
