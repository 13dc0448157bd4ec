"""`sst-keras ensemble`: several runs as one."""

from __future__ import annotations

import logging

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import say
from sst_keras.files import to_json
from sst_keras.runs import new_run

log = logging.getLogger(__name__)


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--dataset", metavar="PATH", help="Where their data set is now, if it is not where it was."
)
@options.data_dir
@click.option("--run-dir", metavar="DIR", help="The new run's folder.  [default: a new one]")
@click.option("--overwrite", is_flag=True, help="Replace the run in --run-dir.")
@options.as_json
def ensemble(
    runs: tuple[str, ...],
    dataset: str | None,
    data_dir: str | None,
    run_dir: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make one run of several RUNs: their mean probability is its answer.

    The new run is scored on dev and test, plotted and exported. It holds the models of the others,
    so it works without them, and it takes as long as all of them together to answer.

    The runs must have been trained on the same data; their pipelines may differ. `sst-keras train
    --seed 2` trains another run.
    """
    from sst_keras.ensemble import ensemble as make_ensemble
    from sst_keras.ensemble import find_members, pipeline_of, read_corpus

    members = find_members(runs)
    corpus = read_corpus(members, data_dir, dataset)
    sources = [member.path for member in members]
    run = new_run(pipeline_of(members, corpus.name), run_dir, overwrite, sources)
    log.info(f"Ensemble of {len(members)} runs, into {run.path}")
    result = make_ensemble(members, corpus, run)

    from sst_keras.cli.evaluate import print_evaluation
    from sst_keras.plotting import save_plots
    from sst_keras.serving.export import export

    if not as_json:  # first: what follows may fail, for example because the disk is full
        print_evaluation(result.scores["test"])
        for member in members:
            scores = member.metrics()
            say(
                f"{member.name}: dev {scores['dev']['accuracy']:.1%}, test "
                f"{scores['test']['accuracy']:.1%}"
            )
        dev, test = (result.scores[split].metrics.accuracy for split in ("dev", "test"))
        say(f"All together: dev {dev:.1%}, test {test:.1%}\n")
    with run.added_to():
        made = [export(run), *save_plots([run])]
    if as_json:
        say(to_json(run.summary() | {"run": str(run.path)}))
        return
    say(f"The run {run.path}")
    for path in (run.metrics_file, run.model_file, *made):
        say(f"  {path.relative_to(run.path)}")
