"""`sst-keras vectors`: fetch or train word vectors, cut them to a data set, describe them."""

from __future__ import annotations

import dataclasses
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import SUBCOMMAND, options
from sst_keras.cli.terminal import say
from sst_keras.errors import InputError
from sst_keras.files import to_json
from sst_keras.settings import TEXT_READING, DataConfig, EmbeddingConfig, Pipeline, VectorsConfig

if TYPE_CHECKING:
    from sst_keras.pretraining.vectors import TrainedVectors

log = logging.getLogger(__name__)

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
    """Fetch, train, cut, describe and search word vectors."""
    ctx.meta[SUBCOMMAND] = ctx.invoked_subcommand


@vectors.command()
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch NAME, such as glove-wiki-gigaword-50, with gensim's downloader."""
    from sst_keras.vectors.sets import fetch_vectors

    say(fetch_vectors(name))


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
@click.option(
    "--decimals",
    type=click.IntRange(1, 9),
    help="Round the numbers to this many decimals, for a smaller file.  [default: as they are]",
)
@_key_pattern
@click.option(
    "--out",
    metavar="FILE",
    help="File to write.  [default: vectors/NAME.DATASET.txt.gz in the user's cache]",
)
@click.option("--overwrite", is_flag=True, help="Replace another file at --out.")
def subset(
    name: str,
    most_frequent: int,
    decimals: int | None,
    key_pattern: str,
    out: str | None,
    overwrite: bool,
    **source: str | None,
) -> None:
    """Write the vectors that a data set needs, by default SST-5, to a file of their own.

    NAME|PATH may also be a file in a zip: glove.6B.zip/glove.6B.300d.txt.

    Training with the subset gives the same result as training with the complete file, as long as
    data.vector_words is at most --most-frequent, and --decimals is not given.
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
    # The default is a place of this command's own.
    overwrite = overwrite or not out
    written = write_subset(path, tokens, file, most_frequent, key_pattern, decimals, overwrite)
    size = file.stat().st_size / 1e6
    say(f"{file}: {len(written.words):,} words of {written.dim} numbers, {size:,.1f} MB")


@vectors.command()
@click.argument("corpus", metavar="CORPUS...", nargs=-1, required=True)
@options.settings_of(VectorsConfig)
@click.option("--cased", is_flag=True, help="Keep upper case: Film and film are two words.")
@click.option(
    "--add-words",
    metavar="DATASET",
    help="With fasttext: words of this data set, such as sst5, get a vector from their n-grams "
    "even if the corpus does not have them.",
)
@click.option(
    "--out",
    metavar="NAME|FILE",
    help="A name for the vectors, or a file ending in .bin, .txt or .txt.gz.  [default: "
    "CORPUS-MODEL-DIM, in the user's cache]",
)
@click.option("--overwrite", is_flag=True, help="Replace vectors of other settings.")
@options.data_dir
@options.reading(*TEXT_READING)
@options.as_json
def train(
    corpus: tuple[str, ...],
    cased: bool,
    add_words: str | None,
    out: str | None,
    overwrite: bool,
    data_dir: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Train word vectors on texts of your own domain; labels are not needed.

    CORPUS is files, folders or patterns: lines of text (.txt), or tables with a column of texts
    (CSV, TSV, JSON), each perhaps with .gz. Or it is a data set of TensorFlow Datasets, such as
    imdb_reviews, of which all splits are read.

    The texts are split into sentences and tokenized once; later commands reuse them. If the
    training is stopped, the same command goes on after the last complete epoch. `sst-keras train`
    uses the vectors only if they are named: auto does not choose them.
    """
    from sst_keras.cli.progress import bar
    from sst_keras.pretraining.vectors import require_fasttext, train_vectors, vectors_file

    names = [item.name for item in dataclasses.fields(VectorsConfig) if item.name in given]
    settings = VectorsConfig(**{name: given.pop(name) for name in names})

    # Better now than after the texts are read.
    if add_words:
        require_fasttext(settings)
    if out:
        vectors_file(out, "", settings)

    from sst_keras.pretraining.corpus import prepare_corpus

    with bar(lambda done, size: "Preparing the texts") as on_progress:
        prepared = prepare_corpus(
            corpus, options.changed(Pipeline(), given).data, not cased, data_dir, on_progress
        )
    for note in prepared.notes:
        log.warning(note)
    log.info(str(prepared))
    path = vectors_file(out, prepared.name, settings)
    words = _words_of(add_words, data_dir, not cased) if add_words else []
    try:
        with bar(lambda done, size: _epoch(done, size, settings.epochs)) as on_progress:
            trained = train_vectors(prepared, path, settings, words, overwrite, on_progress)
    except KeyboardInterrupt:
        log.warning("The same command goes on after the last complete epoch.")
        raise
    if as_json:
        answer = {"path": str(trained.path), "is_new": trained.is_new, "nearest": trained.nearest}
        say(to_json(trained.facts | answer))
    else:
        _print_trained(trained)


def _epoch(done: int, size: int, epochs: int) -> str:
    return f"Epoch {min(epochs, 1 + done * epochs // size)}/{epochs}"


def _words_of(dataset: str, data_dir: str | None, lowercase: bool) -> list[str]:
    """Returns the words of a data set, the most frequent ones first."""
    from collections import Counter

    from sst_keras.corpora import SPLITS
    from sst_keras.encoder import count_tokens

    try:
        corpus = options.read_corpus(dataset, data_dir)
    except InputError as error:  # the option is not --dataset
        raise type(error)(error.message, setting="add_words") from None
    counts: Counter[str] = Counter()
    for split in SPLITS:
        counts.update(count_tokens(corpus.split(split), lowercase))
    return sorted(counts, key=lambda word: (-counts[word], word))


def _print_trained(trained: TrainedVectors) -> None:
    path, facts = trained.path, trained.facts
    made = f"{facts['words']:,} words of {facts['settings']['dim']} numbers"
    if trained.is_new:
        size = path.stat().st_size / 1e6
        say(f"{path}: {made}, {size:,.1f} MB, {facts['seconds']:,.0f} s")
        _print_nearest(trained.nearest)
    else:
        say(f"{path}: {made}, there already, trained with the same settings.")
    from sst_keras.vectors.sets import lasting_name

    say(f"\nUse them: sst-keras train --vectors {shlex.quote(lasting_name(path))}")


def _print_nearest(nearest: dict[str, list[tuple[str, float]]]) -> None:
    for word, neighbours in nearest.items():
        shown = ", ".join(f"{neighbour} {cosine:.2f}" for neighbour, cosine in neighbours)
        say(f"{word}: {shown}")


@vectors.command()
@click.argument("name", metavar="[NAME|PATH]", required=False)
@_key_pattern
@options.data_dir
@options.as_json
def info(name: str | None, key_pattern: str, data_dir: str | None, as_json: bool) -> None:
    """Describe a set of vectors and check each of its rows; without a name, list all sets.

    Of vectors that were trained here, corpus and settings are shown too.
    """
    from sst_keras.vectors.sets import available_vectors, describe, find_vectors

    if name is None:
        shown = {key: str(path) for key, path in available_vectors(data_dir).items()}
        answer = {"vectors": shown}
    else:
        answer = describe(find_vectors(name, data_dir), key_pattern)
        shown = {key.replace("_", " "): value for key, value in answer.items()}
        if facts := shown.pop("training", None):
            shown |= _shown_facts(facts)
    if as_json:
        say(to_json(answer))
    elif not shown:
        say("No vectors. Fetch some with `sst-keras vectors fetch NAME`.")
    else:
        width = max(map(len, shown))
        for key, value in shown.items():
            value = ", ".join(value) if isinstance(value, list) else value
            value = f"{value:,}" if isinstance(value, int) else value
            say(f"{key:<{width}}  {value}")


def _shown_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """Returns the lines that say how vectors were trained."""
    corpus = facts["corpus"]
    return {
        "trained on": f"{corpus['name']}, {corpus['sentences']:,} sentences, "
        f"{corpus['tokens']:,} tokens, {corpus['types']:,} words",
        "corpus": corpus["fingerprint"],
        "case": "lower" if corpus["lowercase"] else "as written",
        "settings": [f"{key} {value}" for key, value in facts["settings"].items()],
        "versions": [f"{key} {value}" for key, value in facts["versions"].items()],
        "seconds": f"{facts['seconds']:,}",
    }


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
        say(to_json({"vectors": name, "nearest": found}))
        return
    _print_nearest(found)
