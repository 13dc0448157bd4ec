"""`sst-keras train`: from texts to a complete run."""

from __future__ import annotations

import functools
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import say
from sst_keras.config import with_override
from sst_keras.errors import UsageError
from sst_keras.files import to_json
from sst_keras.history import shown
from sst_keras.runs import RunDirectory, new_run
from sst_keras.settings import READING, DataConfig

if TYPE_CHECKING:
    from sst_keras.settings import Pipeline
    from sst_keras.training import TrainingResult

log = logging.getLogger(__name__)

_EXAMPLE = "It's not a great film, but I was never bored and the ending is wonderful."
# The settings that have an option of the same name.
_OPTIONS = {
    "data": ("dataset", *READING),
    "embedding": ("vectors",),
    "training": ("epochs", "seed"),
}


@click.command()
@click.argument("pipeline", required=False)
@click.option(
    "--from",
    "init",
    metavar="RUN",
    help="An earlier run to start from: its words, vectors and layers.",
)
@options.dataset
@options.data_dir
@options.vectors
@options.reading()
@click.option("--epochs", type=int, metavar="N", help="Most passes over the training examples.")
@click.option("--seed", type=int, metavar="N", help="The seed of everything random.")
@options.overrides
@click.option("--run-dir", metavar="DIR", help="The run's folder.  [default: a new one]")
@click.option("--overwrite", is_flag=True, help="Replace the run in --run-dir.")
@click.option("--resume", metavar="RUN", help="Go on with a run that was stopped or killed.")
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard, into RUN/logs.")
@click.option(
    "--strategy",
    type=click.Choice(["mirrored"]),
    help="mirrored: each batch is shared among all GPUs of this machine.",
)
@options.as_json
def train(
    pipeline: str | None,
    init: str | None,
    data_dir: str | None,
    settings: tuple[str, ...],
    run_dir: str | None,
    overwrite: bool,
    resume: str | None,
    tensorboard: bool,
    strategy: str | None,
    as_json: bool,
    **given: str | int | list[str] | None,
) -> None:
    """Train PIPELINE, score it, plot it and export it.

    The model of the best epoch on dev is kept: best by accuracy, or as training.monitor says.
    PIPELINE is a name that `sst-keras pipelines` lists, one of a sweep's, such as paper/V2.3, or
    the path of a TOML file. Without it, lstm-attention is trained, or fine-tune with --from.

    With --from, the new run starts from another run's words, vectors and layers, on other texts and
    perhaps with other classes. PIPELINE then says only how it is trained.

    With --resume, a run that was stopped or killed goes on after its last check of dev, with its
    own settings. It is saved after the first check, then at most once a minute. The same command
    with the same --run-dir goes on, too.

    With --overwrite, the finished run in --run-dir is restored if the new one does not finish.
    """
    from sst_keras.experiments.sweep import find_pipeline

    if resume is not None:
        is_changed = any(value not in (None, ()) for value in given.values())
        if pipeline or init or settings or run_dir or overwrite or is_changed:
            raise UsageError(
                "expected only the run, which has its settings, and --data-dir, --strategy, "
                "--tensorboard or --json.",
                setting="resume",
            )
        run_dir = str(_unfinished(resume).path)
        pipeline = str(RunDirectory(Path(run_dir)).pipeline_file)
    if init is None:
        chosen = find_pipeline(pipeline or "lstm-attention", settings)
    else:
        from sst_keras.finetuning import EarlierRun

        chosen = EarlierRun.find(init).pipeline(find_pipeline(pipeline or "fine-tune"))
        chosen = functools.reduce(with_override, settings, chosen)
    for section, names in _OPTIONS.items():
        chosen = options.changed(chosen, {name: given[name] for name in names}, section)
    if chosen.name == "ensemble":
        raise UsageError(
            "these are the settings of an ensemble, which is not trained. Make one with "
            "`sst-keras ensemble RUN...`."
        )
    unnamed = chosen.data.dataset == DataConfig().dataset and not _names_data(settings)
    if init and given["dataset"] is None and unnamed:
        raise UsageError("expected the texts to train on, with --from.", setting="dataset")
    if tensorboard:
        _require_tensorboard()
    run = new_run(chosen, run_dir, overwrite)
    log.info(f"Pipeline {chosen.name}, seed {chosen.training.seed}, into {run.path}")
    result = _train(chosen, run, data_dir, tensorboard, strategy or "")

    from sst_keras.plotting import save_plots
    from sst_keras.serving.export import export

    if not as_json:  # first: what follows may fail, for example because the disk is full
        _print_scores(result)
    with run.added_to():
        made = [export(run), *save_plots([run])]
    if as_json:
        say(to_json(run.summary() | {"run": str(run.path)}))
        return

    from sst_keras.cli.predict import print_predictions
    from sst_keras.serving.prediction import Predictor

    say(f"The run {run.path}")
    for path in (run.history_file, run.metrics_file, run.model_file, *made):
        say(f"  {path.relative_to(run.path)}")
    if run.pipeline.data.dataset in ("sst5", "sample"):  # the example is about a film
        say("")
        print_predictions([Predictor.load(made[0])(_EXAMPLE)])
    say(f'\nTry your own: sst-keras predict {run.path} "A text of yours."')


def _print_scores(result: TrainingResult) -> None:
    from sst_keras.cli.evaluate import print_evaluation

    dev, test = result.best["dev"].metrics, result.best["test"].metrics
    print_evaluation(result.best["test"])
    epochs = f"epoch {shown(result.best_epoch)} of {shown(result.history.rows[-1]['epoch'])}"
    say(
        f"Test accuracy {test.accuracy:.1%} (always {result.best['test'].majority_class!r}: "
        f"{test.majority:.1%}), dev {dev.accuracy:.1%} ({epochs}, the best on dev), "
        f"{result.seconds:.0f} s.\n"
    )


def _train(
    settings: Pipeline, run: RunDirectory, data_dir: str | None, tensorboard: bool, strategy: str
) -> TrainingResult:
    from rich.console import Console

    from sst_keras.callbacks import ProgressBar
    from sst_keras.runtime import keras
    from sst_keras.training import train as train_pipeline

    progress = ProgressBar(Console(stderr=True))
    callbacks = [progress]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(run.logs_dir))
    try:
        return train_pipeline(settings, run, data_dir, callbacks, strategy=strategy)
    except KeyboardInterrupt:
        if run.is_finished:
            log.warning(f"Stopped. {run.path} is as it was.")
        elif run.model_file.is_file():
            folder = shlex.quote(str(run.path))
            log.warning(
                f"Stopped early. The best epoch so far is kept: sst-keras evaluate {folder}"
            )
            if run.checkpoint_file.is_file():
                data = f" --data-dir {shlex.quote(data_dir)}" if data_dir else ""
                where = f" --strategy {strategy}" if strategy else ""
                log.warning(f"To go on: sst-keras train --resume {folder}{data}{where}")
        raise
    finally:
        progress.close()


def _unfinished(path: str) -> RunDirectory:
    """Returns the run at a path, which must have something to go on from."""
    run = RunDirectory.find(path)
    if run.is_finished:
        raise UsageError(f"{run.name} is finished.", setting="resume")
    if not (run.pipeline_file.is_file() and run.checkpoint_file.is_file()):
        raise UsageError(
            f"{run.name} has no {run.checkpoint_file.name} to go on from: it was stopped before "
            f"its first check of dev. Train it anew, with --run-dir {shlex.quote(str(run.path))}.",
            setting="resume",
        )
    return run


def _names_data(overrides: tuple[str, ...]) -> bool:
    return any(override.partition("=")[0].strip() == "data.dataset" for override in overrides)


def _require_tensorboard() -> None:
    import importlib.util

    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "TensorBoard is not installed. Install it with `pip install 'sst-keras[tensorboard]'`.",
            setting="tensorboard",
        )
