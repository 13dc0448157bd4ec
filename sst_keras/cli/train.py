"""`sst-keras train`: from texts to a complete run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import console

if TYPE_CHECKING:
    from sst_keras.runs import RunDirectory
    from sst_keras.settings import Pipeline
    from sst_keras.training import TrainingResult

log = logging.getLogger(__name__)

_EXAMPLE = "It's not a great film, but I was never bored and the ending is wonderful."


@click.command()
@click.argument("pipeline", default="lstm-attention")
@options.dataset
@options.data_dir
@click.option(
    "--vectors",
    multiple=True,
    metavar="NAME|PATH|none",
    help="Word vectors; several are concatenated.  [default: the pipeline's, or the set with the "
    "highest coverage]",
)
@click.option("--text-column", metavar="NAME", help="Column of the text.  [default: text]")
@click.option("--label-column", metavar="NAME", help="Column of the label.  [default: label]")
@click.option(
    "--labels", metavar="A,B,...", help="Classes of your own data, lowest first.  [default: sorted]"
)
@click.option("--epochs", type=int, metavar="N", help="Most passes over the training examples.")
@click.option("--seed", type=int, metavar="N", help="The seed of everything random.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Any setting, such as model.units=256; `sst-keras pipelines --settings` lists them.",
)
@click.option("--run-dir", metavar="DIR", help="The run's folder.  [default: a new one]")
@click.option("--overwrite", is_flag=True, help="Replace the finished run in --run-dir.")
@click.option("--tensorboard", is_flag=True, help="Also log for TensorBoard, into RUN/logs.")
@options.as_json
def train(
    pipeline: str,
    dataset: str | None,
    data_dir: str | None,
    vectors: tuple[str, ...],
    text_column: str | None,
    label_column: str | None,
    labels: str | None,
    epochs: int | None,
    seed: int | None,
    overrides: tuple[str, ...],
    run_dir: str | None,
    overwrite: bool,
    tensorboard: bool,
    as_json: bool,
) -> None:
    """Train PIPELINE, score it, plot it and export it.

    The model of the best epoch by dev accuracy is kept. PIPELINE is a name that `sst-keras
    pipelines` lists, one of a sweep's, such as paper/V2.3, or the path of a TOML file. Without it,
    lstm-attention is trained.
    """
    from sst_keras.config import with_settings
    from sst_keras.experiments.sweep import find_pipeline
    from sst_keras.files import to_json
    from sst_keras.runs import new_run

    settings = find_pipeline(pipeline, overrides)
    given = {
        "data.dataset": dataset,
        "data.text_column": text_column,
        "data.label_column": label_column,
        "data.labels": labels and [label.strip() for label in labels.split(",")],
        "embedding.vectors": vectors or None,
        "training.epochs": epochs,
        "training.seed": seed,
    }
    for name, value in given.items():
        if value is not None:
            option = f"--{name.partition('.')[2].replace('_', '-')}"
            settings = with_settings(settings, {name: value}, source=option)
    if tensorboard:
        _require_tensorboard()
    run = new_run(settings, run_dir, overwrite)
    log.info(f"Pipeline {settings.name}, seed {settings.training.seed}, into {run.path}")
    result = _train(settings, run, data_dir, tensorboard)

    from sst_keras.plotting import save_plots
    from sst_keras.serving.export import export

    plots, exported = save_plots([run]), export(run)
    if as_json:
        click.echo(to_json(_summary(result)))
    else:
        _print_result(result, plots, exported)


def _train(
    settings: Pipeline, run: RunDirectory, data_dir: str | None, tensorboard: bool
) -> TrainingResult:
    from sst_keras.callbacks import ProgressBar
    from sst_keras.runtime import keras
    from sst_keras.training import train as train_pipeline

    progress = ProgressBar(console())
    callbacks = [progress]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(run.logs_dir))
    try:
        return train_pipeline(settings, run, data_dir, callbacks)
    except KeyboardInterrupt:
        if run.model_file.is_file():
            log.warning(
                f"Stopped early. The best epoch so far is kept: sst-keras evaluate {run.path}"
            )
        raise
    finally:
        progress.close()
        if not any(run.path.iterdir()):  # no data, no vectors: no run
            run.path.rmdir()


def _require_tensorboard() -> None:
    import importlib.util

    from sst_keras.errors import UsageError

    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "TensorBoard is not installed. Install it with `pip install 'sst-keras[tensorboard]'`.",
            setting="tensorboard",
        )


def _summary(result: TrainingResult) -> dict[str, Any]:
    """Returns the output of `--json`."""
    names = ("n", "accuracy", "macro_f1", "loss")
    return {
        "run": str(result.run.path),
        "pipeline": result.pipeline.name,
        "dataset": result.pipeline.data.dataset,
        "vectors": list(result.pipeline.embedding.vectors),
        "seed": result.pipeline.training.seed,
        "epochs": len(result.history.rows),
        "best_epoch": result.best_epoch,
        **{
            split: {name: getattr(evaluation.metrics, name) for name in names}
            for split, evaluation in result.best.items()
        },
        "seconds": result.seconds,
    }


def _print_result(result: TrainingResult, plots: Sequence[Path], exported: Path) -> None:
    """Prints the scores, the files, and one example prediction."""
    from sst_keras.cli.evaluate import print_evaluation
    from sst_keras.cli.predict import print_predictions
    from sst_keras.serving.prediction import Predictor

    run = result.run
    dev, test = (result.best[split].metrics.accuracy for split in ("dev", "test"))
    print_evaluation(result.best["test"])
    click.echo(
        f"Test accuracy {test:.1%}, dev {dev:.1%} (epoch {result.best_epoch} of "
        f"{len(result.history.rows)}, the best on dev), {result.seconds:.0f} seconds.\n"
    )
    click.echo(f"The run {run.path}")
    for path in (run.history_file, run.metrics_file, run.model_file, exported, *plots):
        click.echo(f"  {path.relative_to(run.path)}")
    click.echo("")
    print_predictions([Predictor.load(exported)(_EXAMPLE)])
    click.echo(f'\nTry your own: sst-keras predict {run.path} "A text of yours."')
