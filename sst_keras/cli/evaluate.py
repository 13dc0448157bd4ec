"""`sst-keras evaluate`: a run's scores on a split."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from sst_keras.cli import options
from sst_keras.cli.terminal import cell, say
from sst_keras.errors import UsageError
from sst_keras.files import to_json
from sst_keras.runs import open_run
from sst_keras.settings import Pipeline

if TYPE_CHECKING:
    from sst_keras.error_analysis import ErrorAnalysis
    from sst_keras.evaluation import Evaluation
    from sst_keras.runs import RunDirectory

log = logging.getLogger(__name__)

_SHOWN = 3  # failures of each capability


@click.command()
@options.run
@click.option(
    "--split",
    type=click.Choice(["dev", "test", "train"]),
    help="The texts to score.  [default: test; all texts of another data set that is one file]",
)
@click.option("--errors", is_flag=True, help="Also show where the model is wrong.")
@click.option(
    "--behaviour", is_flag=True, help="Show how many clear cases it gets wrong, without a data set."
)
@click.option(
    "--against",
    metavar="RUN",
    multiple=True,
    help="Another run, to compare RUN with on the same texts; may be repeated.",
)
@options.dataset
@options.data_dir
@options.reading()
@options.as_json
def evaluate(
    run: str,
    split: str | None,
    errors: bool,
    behaviour: bool,
    against: tuple[str, ...],
    dataset: str | None,
    data_dir: str | None,
    as_json: bool,
    **reading: object,
) -> None:
    """Score RUN on a split, and keep scores and plots in its folder.

    With --errors, the accuracy by length, negation and contrast follows, the classes that are most
    often confused, and for a treebank the accuracy on all its labelled phrases.

    With --behaviour, RUN answers sentences whose sentiment is clear, such as negated ones, and
    nothing else is scored. What it fails is kept in its folder.

    With --against, the difference from another run follows, with a 95 % interval and the p-value of
    McNemar's exact test.

    With --dataset, RUN is scored on another data set with the same classes and nothing is kept. All
    texts of a file are scored, unless it is the file that RUN was trained on.
    """
    directory = open_run(run)
    reading = {name: value for name, value in reading.items() if value not in (None, ())}
    if behaviour:
        if reading or errors or split or dataset or data_dir or against:
            raise UsageError("expected no other options but --json.", setting="behaviour")
        _check_behaviour(directory, as_json)
        return

    from sst_keras.evaluation import evaluate as evaluate_run
    from sst_keras.evaluation import save_evaluation
    from sst_keras.plotting import save_plots

    if reading and dataset is None:
        raise UsageError("expected a data set to read with these options.", setting="dataset")
    changed = options.changed(Pipeline(), reading).data
    reading = {name: getattr(changed, name) for name in reading}
    others = [open_run(other) for other in against]
    digests = directory.digests()
    evaluation = evaluate_run(directory, split, dataset, data_dir, errors, others, **reading)
    for note in evaluation.notes:
        log.warning(note)
    if as_json:
        say(to_json(evaluation.to_dict()))
    else:
        print_evaluation(evaluation)
        if evaluation.errors:
            _print_errors(evaluation.errors)
        if evaluation.against:
            _print_differences(evaluation)
    # After printing: the scores are seen even if the folder cannot be written to.
    if evaluation.is_own_data and directory.is_finished:
        save_evaluation(directory, evaluation, digests)
        with directory.added_to(digests):
            save_plots([directory])


def print_evaluation(evaluation: Evaluation) -> None:
    """Prints an evaluation as tables."""
    from rich.console import Console
    from rich.table import Table

    metrics, names = evaluation.metrics, evaluation.class_names
    title = f"{evaluation.dataset}, {evaluation.split}: {metrics.n:,} texts"
    scores = Table("class", title=cell(title), title_justify="left")
    confusion = Table("", title="true class (row), predicted class (column)", title_justify="left")
    for heading in ("texts", "precision", "recall", "F1"):
        scores.add_column(heading, justify="right")
    for heading in names:
        confusion.add_column(cell(heading), justify="right")
    for name, row, counts in zip(names, metrics.per_class, metrics.confusion_matrix, strict=True):
        shares = (f"{row[score]:.1%}" for score in ("precision", "recall", "f1"))
        scores.add_row(cell(name), f"{row['support']:,}", *shares)
        confusion.add_row(cell(name), *(f"{count:,}" for count in counts))
    console = Console()
    console.print(scores)
    # A cell takes its digits, two spaces and a line; narrower ones would lose digits.
    digits = max(len(f"{count:,}") for row in metrics.confusion_matrix for count in row)
    if len(names) * (digits + 3) + 12 <= console.width:
        console.print(confusion)
    else:
        say("The confusion matrix is too wide for this screen: see the plot or --json.")
    low, high = (100 * end for end in metrics.accuracy_interval)
    before = ""
    if old := evaluation.uncalibrated:
        before = (
            f" ({old['expected_calibration_error']:.1%} without the temperature "
            f"{old['temperature']:.2f})"
        )
    lines = {
        "accuracy": f"{metrics.accuracy:.1%} ({low:.1f}-{high:.1f}%, 95 % interval of "
        f"{metrics.n:,} texts)",
        f"  always {evaluation.majority_class!r}": f"{metrics.majority:.1%}",
        "macro F1": f"{metrics.macro_f1:.1%}",
        "expected calibration error": f"{metrics.expected_calibration_error:.1%}{before}",
    }
    # With two classes, distances add nothing to accuracy.
    if evaluation.ordered and len(names) > 2:
        lines |= {
            "off by one class at most": f"{metrics.within_one_accuracy:.1%}",
            "mean absolute error": f"{metrics.mean_absolute_error:.3f} classes",
            "quadratic weighted kappa": f"{metrics.quadratic_weighted_kappa:.3f}",
        }
        if metrics.polarity_accuracy is not None:
            without = ", without the middle class" if len(names) % 2 else ""
            is_sst = evaluation.dataset == "sst5"
            name = "negative or positive, SST-2" if is_sst else "right half of the scale"
            lines[name] = f"{metrics.polarity_accuracy:.1%}{without}"
    for name, value in lines.items():
        say(f"{name:<27} {value}")
    for warning in evaluation.warnings():
        say(warning)
    say("")


def _print_errors(errors: ErrorAnalysis) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", title="Accuracy by group", title_justify="left")
    for heading in ("texts", "accuracy", "95 % interval"):
        table.add_column(heading, justify="right")
    groups = dict(errors.groups)
    if errors.phrases:
        (sentences,) = groups.pop("all")
        roots = replace(sentences, name="complete sentences (roots)")
        groups["phrases"] = (roots, errors.phrases)
    for shares in groups.values():
        for share in shares:
            low, high = (100 * end for end in share.interval)
            row = f"{share.n:,}", f"{share.accuracy:.1%}", f"{low:.1f}-{high:.1f}%"
            table.add_row(cell(share.name), *row, end_section=share is shares[-1])
    Console().print(table)
    if errors.confusions:
        say("Most often confused, with the texts of which the model is most sure:")
    for confusion in errors.confusions:
        say(f"\n{confusion.true} taken for {confusion.predicted}: {confusion.n:,} texts", bold=True)
        for text, probability in confusion.examples:
            say(f"  {probability:.0%}  {text}")


def _print_differences(evaluation: Evaluation) -> None:
    for name, (accuracy, found) in evaluation.against.items():
        low, high = (100 * end for end in found.interval)
        p_value = "< 0.001" if found.p_value < 0.001 else f"= {found.p_value:.3f}"
        say(f"against {name}, {accuracy:.1%} on the same texts:", bold=True)
        say(
            f"  {100 * found.difference:+.1f} points ({low:+.1f} to {high:+.1f}, 95 % interval; p "
            f"{p_value} by McNemar's exact test)"
        )
        say(f"  {found.only_first:,} texts are right only here, {found.only_second:,} only there")


def _check_behaviour(directory: RunDirectory, as_json: bool) -> None:
    os.environ["KERAS_BACKEND"] = "tensorflow"  # it answers raw texts, with a graph of TensorFlow
    from rich.console import Console
    from rich.table import Table

    from sst_keras.checklist import check, is_sentiment, load_cases
    from sst_keras.classifier import Classifier
    from sst_keras.files import write_json

    if directory.pipeline.data.ordinal == "no":
        raise UsageError("expected classes from negative to positive. Those of RUN have no order.")
    digests = directory.digests()
    predictor = Classifier.load(directory).predictor()
    lowest, highest = predictor.class_names[0], predictor.class_names[-1]
    if not is_sentiment(predictor.class_names):
        log.warning(f"Takes {lowest!r} for the most negative class, {highest!r} for the opposite.")
    found = check(predictor.predict, load_cases())
    report = {"capabilities": [capability.to_dict() for capability in found]}
    if as_json:
        say(to_json(report))
    else:
        title = cell(f"Behaviour of {directory.name}")
        table = Table("capability", title=title, title_justify="left")
        for heading in ("cases", "wrong", "failure rate"):
            table.add_column(heading, justify="right")
        for each in found:
            wrong = len(each.failures)
            row = f"{len(each.outcomes):,}", f"{wrong:,}", f"{each.failure_rate:.0%}"
            table.add_row(each.name, *row)
        Console().print(table)
        for each in found:
            if each.failures:
                say(f"\n{each.name}, the first failures:", bold=True)
            for outcome in each.failures[:_SHOWN]:
                case, answers = outcome.case, " → ".join(outcome.answers)
                texts = " → ".join(filter(None, (case.text, case.other)))
                if case.expected in ("higher", "lower"):
                    means = " → ".join(f"{mean:.2f}" for mean in outcome.mean_classes)
                    answers += f" (mean class {means})"
                say(f"  {texts}\n    expected: {case.expected}; predicted: {answers}")
    with directory.added_to(digests):
        write_json(directory.behaviour_file, {"format": 1} | report)
