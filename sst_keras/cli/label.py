"""`sst-keras label`: what trained runs say about unlabelled sentences, for others to learn from."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import click

from sst_keras.cli import options
from sst_keras.cli.progress import bar
from sst_keras.cli.terminal import say
from sst_keras.controls import visible
from sst_keras.errors import UsageError
from sst_keras.files import to_json
from sst_keras.runs import RUNS_DIR, open_run
from sst_keras.settings import TEXT_READING, LabellingConfig

log = logging.getLogger(__name__)

_FOLDER = "pseudo-labels"  # below `saved_models/`


@click.command()
@click.argument("corpus", nargs=-1, required=True)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    required=True,
    metavar="RUN",
    help="A trained run. Give several for the mean of their probabilities.",
)
@options.settings_of(LabellingConfig)
@options.data_dir
@options.reading(*TEXT_READING, "label_column")
@click.option(
    "--out",
    metavar="DIR",
    help=f"The folder to write.  [default: {RUNS_DIR}/{_FOLDER}/ and the corpus's name]",
)
@options.as_json
def label(
    corpus: tuple[str, ...],
    teachers: tuple[str, ...],
    data_dir: str | None,
    out: str | None,
    as_json: bool,
    **given: str | int | None,
) -> None:
    """Label sentences of CORPUS with the probabilities that trained runs give to them.

    CORPUS is a data set of TensorFlow Datasets, such as imdb_reviews, or files and folders of
    texts. A pipeline whose setting data.pseudo_labels names the result learns from it first.

    The same command again goes on where a stopped one was, even a killed one.
    """
    from sst_keras.pretraining.corpus import prepare_corpus
    from sst_keras.pretraining.labelling import agreed
    from sst_keras.pretraining.labelling import label as label_sentences
    from sst_keras.pretraining.text_labels import read_text_labels
    from sst_keras.pseudo_labels import PseudoLabels
    from sst_keras.settings import Pipeline

    names = [item.name for item in dataclasses.fields(LabellingConfig)]
    config = LabellingConfig(**{name: given.pop(name) for name in names})
    if given.get("label_column") and not config.document_labels:
        raise UsageError("expected --document-labels, which reads it.", setting="label_column")
    data = options.changed(Pipeline(), given).data
    runs = [open_run(run) for run in teachers]
    _, lowercase = agreed(runs)
    with bar(lambda done, size: "Reading") as move:
        sentences = prepare_corpus(list(corpus), data, lowercase, data_dir, move)
    for note in sentences.notes:
        log.warning(note)
    log.info(f"Corpus: {sentences.name}, {len(sentences):,} sentences.")
    labels = None
    if config.document_labels:
        with bar(lambda done, size: "Reading labels") as move:
            labels = read_text_labels(list(corpus), data, data_dir, move)
        log.info(f"Labels of texts: {', '.join(labels.names)}; {len(labels.keys):,} sentences.")
    folder = PseudoLabels(Path(out) if out else RUNS_DIR / _FOLDER / sentences.file_name)
    with bar(lambda done, size: f"Labelling, {_numbered(done, size, len(runs))}") as move:
        try:
            label_sentences(sentences, runs, config, folder, move, labels)
        except KeyboardInterrupt:
            if folder.about_file.is_file():
                log.warning(f"The same command goes on with what is in {folder.path}.")
            raise
    texts, probabilities = folder.read()
    classes = folder.about()["class_names"]
    shares = probabilities.mean(axis=0)
    if as_json:
        found = {"shares": dict(zip(classes, shares.tolist(), strict=True))}
        click.echo(to_json(folder.summary() | found))
        return
    say(f"{len(texts):,} sentences, into {folder.path}\n")
    click.echo("Mean probability of each class, and the sentence with the highest:\n")
    for number, class_name in enumerate(classes):
        best = int(probabilities[:, number].argmax())
        click.echo(f"  {shares[number]:5.1%}  {click.style(visible(class_name), bold=True)}")
        click.echo(
            f"         {probabilities[best, number]:.0%}: {visible(' '.join(texts.row(best)))}"
        )
    say(f"\nA run learns from it with --set data.pseudo_labels={folder.lasting_name}")


def _numbered(done: int, size: int, runs: int) -> str:
    if runs == 1:
        return "1 teacher"
    return f"teacher {min(done * runs // size + 1, runs)} of {runs}"
