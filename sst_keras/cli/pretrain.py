"""`sst-keras pretrain`: a language model from unlabelled texts, for classifiers to start from."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import click

from sst_keras.cli import options
from sst_keras.cli.progress import bar
from sst_keras.cli.terminal import say
from sst_keras.files import to_json
from sst_keras.runs import RUNS_DIR
from sst_keras.settings import TEXT_READING, LanguageModelConfig

log = logging.getLogger(__name__)

_FOLDER = "language-model"  # below `saved_models/`


@click.command()
@click.argument("corpus", nargs=-1, required=True)
@options.settings_of(LanguageModelConfig)
@options.data_dir
@options.reading(*TEXT_READING)
@click.option("--cased", is_flag=True, help="Keep upper and lower case apart.")
@click.option(
    "--run-dir",
    metavar="DIR",
    help=f"The run's folder.  [default: {RUNS_DIR}/{_FOLDER}/CORPUS-UNITS]",
)
@options.as_json
def pretrain(
    corpus: tuple[str, ...],
    data_dir: str | None,
    cased: bool,
    run_dir: str | None,
    as_json: bool,
    **given: str | int | float | None,
) -> None:
    """Train a language model on CORPUS, for a classifier to start from.

    CORPUS is a data set of TensorFlow Datasets, such as imdb_reviews, or files and folders of
    texts. One LSTM learns to predict each next word, another each word before. A pipeline whose
    setting model.init names the run starts from their weights.

    The same command again goes on where a stopped one was, even a killed one.
    """
    from sst_keras.pretrained import DIRECTIONS, LanguageModelRun
    from sst_keras.pretraining.corpus import prepare_corpus
    from sst_keras.pretraining.language_model import Progress
    from sst_keras.pretraining.language_model import pretrain as train
    from sst_keras.settings import Pipeline
    from sst_keras.vectors.sets import find_vectors

    names = [item.name for item in dataclasses.fields(LanguageModelConfig)]
    config = LanguageModelConfig(**{name: given.pop(name) for name in names})
    data = options.changed(Pipeline(), given).data
    find_vectors(config.vectors, data_dir)  # Better now than after the texts are read.
    with bar(lambda done, size: "Reading") as move:
        sentences = prepare_corpus(list(corpus), data, not cased, data_dir, move)
    for note in sentences.notes:
        log.warning(note)
    log.info(
        f"Corpus: {sentences.name}, {len(sentences):,} sentences, {len(sentences.ids):,} tokens, "
        f"{len(sentences.words):,} different words."
    )
    default = RUNS_DIR / _FOLDER / f"{sentences.file_name}-{config.units}"
    run = LanguageModelRun(Path(run_dir) if run_dir else default)
    log.info(f"Language model of 2 x {config.units} units, into {run.path}")

    with bar(lambda done, size: description) as move:
        description = "Training"

        def show(progress: Progress) -> None:
            nonlocal description
            if progress.perplexities:
                shown = " and ".join(f"{value:.1f}" for value in progress.perplexities.values())
                description = f"Training, perplexity {shown}"
            move(progress.done, progress.total)

        try:
            metrics = train(sentences, config, run, data_dir, show)
        except KeyboardInterrupt:
            if run.checkpoint_file.is_file():
                log.warning(f"The same command goes on with what is in {run.path}.")
            raise
    from sst_keras.plotting import save_perplexity

    save_perplexity(run.history(), run.plots_dir)
    if as_json:
        say(to_json({"run": str(run.path)} | metrics))
        return
    perplexities = metrics["perplexity"]
    shown = ", ".join(f"{perplexities[name]:.1f} {name}" for name in DIRECTIONS)
    speed = metrics["tokens"] / metrics["training_seconds"]
    say(
        f"Perplexity on {metrics['held_out_sentences']:,} held-out sentences: {shown}.\n"
        f"{metrics['tokens']:,} tokens in {metrics['training_seconds']:,.0f} s, {speed:,.0f} per "
        f"second.\n\n"
        f"A classifier starts from it with these settings:\n"
        f"  embedding.vectors    must have {config.vectors}\n"
        f"  model.init           {run.lasting_name}"
    )
