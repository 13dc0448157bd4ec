"""Experiments, sweeps and records for the tests of reports."""

from sst_keras.config import with_override
from sst_keras.experiments.records import RunRecord, Scores
from sst_keras.experiments.sweep import Experiment, Sweep
from sst_keras.settings import Pipeline

RIGHT, CONSTANT = [[20, 5], [30, 45]], [[25, 0], [75, 0]]


def experiment(row, *settings, variant=None, published=None, seeds=3):
    pipeline = Pipeline()
    for setting in settings:
        pipeline = with_override(pipeline, setting)
    return Experiment("small", row, variant, seeds, pipeline, published)


def sweep(*experiments, published=None):
    return Sweep("small", "", experiments, {}, "R.md", "r.html", published=published)


def record(experiment, seed, test, *, error=None, matrix=RIGHT, settings=(), **fields):
    """A record with `test` percent for the last epoch, 1 point more for the best epoch by dev."""
    scored = {
        "epochs": 2,
        "last": Scores(2, test / 100, test / 100, matrix),
        "best": Scores(1, test / 100, (test + 1) / 100, [[19, 6], [25, 50]]),
        "commit": "0123456789abcdef",
        "versions": {"keras": "3.15.1"},
        "data_fingerprint": "f00d",
        "class_names": ("bad", "good"),
        "history": {
            "epoch": [1, 2],
            "loss": [1.5, 1.0],
            "accuracy": [0.4, 0.6],
            "dev_loss": [1.4, 1.6],
            "dev_accuracy": [0.42, 0.41],
        },
    }
    found = experiment.pipeline.settings()
    if found["embedding.vectors"] == ("auto",):
        found["embedding.vectors"] = ("glove.small",)
    return RunRecord(
        key=experiment.key(seed),
        settings=found | dict(settings),
        seconds=10.0 * seed,
        ended=f"2026-01-01T00:0{seed + 1}:00+00:00",
        jobs=1,
        cores=2,
        error=error,
        **({} if error else scored | fields),
    )


def by_key(*records):
    return {record.key: record for record in records}
