"""How often models fail each capability of `data/behaviour/`, with their scores on test.

    python benchmarks/behaviour.py lstm-attention=RUN flagship=RUN ensemble=RUN small=RUN

The scores are those that the runs were trained with: the test set is not read again.
"""

from __future__ import annotations

import click
import records

NAME = "behaviour"
SCORES = {
    "accuracy": "accuracy on SST-5",
    "polarity_accuracy": "negative or positive (SST-2)",
    "expected_calibration_error": "calibration error",
}


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="NAME=RUN...")
def main(models: tuple[str, ...]) -> None:
    """Check models and append a record of each."""
    from sst_keras import checklist
    from sst_keras.classifier import Classifier
    from sst_keras.runs import open_run

    for each in models:
        name, _, run = each.partition("=")
        directory = open_run(run)
        found = checklist.summary(Classifier.load(directory).predictor())
        test = directory.metrics()["test"]
        scores = {key: test[key] for key in SCORES}
        rates = {each["capability"]: [each["failures"], each["cases"]] for each in found}
        records.append(
            NAME, ("keras", "tensorflow", "sst-keras"), model=name, scores=scores, failures=rates
        )
        click.echo(f"{name}: " + ", ".join(f"{what} {n}/{of}" for what, (n, of) in rates.items()))


if __name__ == "__main__":
    main()
