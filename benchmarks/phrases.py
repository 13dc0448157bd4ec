r"""The treebank's phrases as a table of a phrase per row, with the number of its sentence.

    python benchmarks/phrases.py phrases.tsv --sentences 400

The columns are those of a well-known competition: PhraseId, SentenceId, Phrase, Sentiment. As
there, a phrase that occurs again, in the same sentence or in a later one, has no second row. The
sentences are those of train. Two commands show what it is worth to keep the phrases of a sentence
together:

    sst-keras train --dataset phrases.tsv --text-column Phrase --label-column Sentiment
    sst-keras train --dataset phrases.tsv --text-column Phrase --label-column Sentiment \
        --group-column SentenceId
"""

from __future__ import annotations

import zipfile
from itertools import islice
from pathlib import Path

import click

from sst_keras import files, treebank
from sst_keras.datasets.sst5 import source


def phrases(path: Path | zipfile.Path, sentences: int | None) -> list[tuple[int, str, int]]:
    """Returns the number of the sentence, the phrase and its label of each distinct phrase."""
    met: set[tuple[str, ...]] = set()
    rows = []
    for number, tree in enumerate(islice(treebank.read_trees(path), sentences), start=1):
        for example in tree.examples():
            if example.tokens not in met:
                met.add(example.tokens)
                rows.append((number, " ".join(example.tokens), example.label))
    return rows


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--sentences", type=click.IntRange(1), help="The first so many.  [default: all]")
def main(out: Path, sentences: int | None) -> None:
    """Write the phrases to OUT, tab-separated and without quoting."""
    found = source.locate()
    if found is None:
        raise click.ClickException(str(source.unavailable()))
    rows = phrases(found / "train.txt", sentences)
    lines = ["PhraseId\tSentenceId\tPhrase\tSentiment"]
    lines += (f"{n}\t{s}\t{text}\t{label}" for n, (s, text, label) in enumerate(rows, start=1))
    files.write_text(out, "\n".join(lines) + "\n")
    click.echo(f"{out}: {len(rows):,} phrases of {rows[-1][0]:,} sentences")


if __name__ == "__main__":
    main()
