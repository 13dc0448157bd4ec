"""`sst-keras vectors`: fetch word vectors, list them, and ask for a word's neighbours."""

from __future__ import annotations

import click

from sst_keras.cli import options


@click.group()
def vectors() -> None:
    """Fetch word vectors, describe them, ask for a word's neighbours."""


@vectors.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch NAME, such as glove-wiki-gigaword-300, by gensim's downloader."""
    from sst_keras.locations import is_reachable
    from sst_keras.vectors.sets import fetch_vectors

    click.echo(fetch_vectors(name, is_reachable))


@vectors.command()
@click.argument("name", metavar="[NAME|PATH]", required=False)
@options.data_dir
@options.as_json
def info(name: str | None, data_dir: str | None, as_json: bool) -> None:
    """Describe a set of vectors, and check its every row; without a name, list all sets."""
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

    path = find_vectors(name, data_dir)
    found = nearest_words(path, words, count)
    if as_json:
        click.echo(to_json({"vectors": name, "nearest": found}))
        return
    for word, neighbours in found.items():
        shown = ", ".join(f"{neighbour} {cosine:.2f}" for neighbour, cosine in neighbours)
        click.echo(f"{word}: {shown}")
