import json
import math
from dataclasses import replace

import pytest

from sst_keras.config import load_pipeline, with_settings
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.records import (
    RunKey,
    RunRecord,
    Scores,
    Weights,
    differing_settings,
    read_records,
    recorded_settings,
    write_record,
)
from sst_keras.settings import Pipeline

FAILED = RunRecord(
    key=RunKey("own", "a", None, 1),
    settings=recorded_settings(Pipeline()),
    seconds=1.5,
    ended="2030-01-02T03:04:05+00:00",
    jobs=2,
    cores=1,
    error="ValueError: é",
)
HISTORY = {"epoch": [1, 2], "loss": [1.5, 1], "accuracy": [0.5, 1]}
HISTORY |= {"dev_loss": [1.5, 1.25], "dev_accuracy": [0.75, 0.5]}
DONE = replace(
    FAILED,
    key=RunKey("own", "a", "frozen", 2),
    error=None,
    epochs=2,
    last=Scores(2, 0.5, 0.25, [[1, 1], [2, 0]]),
    best=Scores(1, 0.75, 0.5, [[1, 1], [1, 1]]),
    commit="0" * 40,
    versions={"keras": "3"},
    data_fingerprint="f",
    class_names=("bad", "good"),
    history=HISTORY,
    checks={"epoch": [0.5, 1.0], "dev_loss": [1, 1], "dev_accuracy": [0.5, 0.75]},
    learned_from={"language_model": "f00d"},
)

BEST = vars(DONE.best)
EMPTY = BEST | {"confusion_matrix": []}

WITHIN = replace(
    DONE,
    epochs=1.667,
    last=replace(DONE.last, epoch=1.667),
    best=replace(DONE.best, epoch=0.333),
    history=HISTORY | {"epoch": [0.333, 1.667]},
)


def saved(record):
    """The record as JSON reads it back."""
    return json.loads(json.dumps(record.to_dict()))


@pytest.mark.parametrize("record", [FAILED, DONE, replace(DONE, checks=None), WITHIN])
def test_a_record_is_read_as_it_was_written(tmp_path, record):
    assert RunRecord.from_dict(record.to_dict()) == record
    assert RunRecord.from_dict(saved(record)) == record
    write_record(tmp_path, record)
    assert read_records(tmp_path) == {record.key: record}


def test_each_run_has_a_file(tmp_path):
    write_record(tmp_path / "x", FAILED)
    write_record(tmp_path / "x", DONE)
    write_record(tmp_path / "x", replace(FAILED, seconds=2.0))  # takes the place of the first
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json"))
    assert files == ["x/a-seed1.json", "x/frozen/a-seed2.json"]
    assert read_records(tmp_path / "x")[FAILED.key].seconds == 2.0
    assert str(DONE.key) == "own/a/frozen, seed 2"


def test_a_failed_run_has_no_scores():
    assert "last" not in saved(FAILED) and saved(FAILED)["error"] == "ValueError: é"
    assert "error" not in saved(DONE)
    assert DONE.scores(Weights.LAST).test == 0.25 and DONE.scores(Weights.BEST).epoch == 1


def test_a_loss_that_is_no_number_stays_none(tmp_path):
    write_record(tmp_path, replace(DONE, history=HISTORY | {"dev_loss": [1, math.inf]}))
    (record,) = read_records(tmp_path).values()
    assert record.history["dev_loss"][0] == 1 and math.isnan(record.history["dev_loss"][1])


def test_records_of_other_versions_are_read():
    """A missing setting has its default. What is unknown here sets the run apart."""
    other = saved(DONE)
    other["settings"]["model.name"] = "gru"  # of a package that is not installed here
    read = RunRecord.from_dict(other)
    assert differing_settings(DONE.settings, read.settings) == ["model.name"]
    other = saved(DONE)
    del other["settings"]["data.batch_size"]
    assert RunRecord.from_dict(other) == DONE
    other["settings"]["model.gates"] = 3
    read = RunRecord.from_dict(other)
    assert differing_settings(DONE.settings, read.settings) == ["model.gates"]
    other["settings"] = {"training.epochs": 2}
    assert differing_settings(DONE.settings, RunRecord.from_dict(other).settings) == [
        "training.epochs"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "expected format 1 to 2. Received: 99"),
        ({"format": []}, "expected a whole number in format"),
        ({"seed": "1"}, "expected a whole number from 0 .* in seed"),
        ({"seed": True}, "expected a whole number from 0 .* in seed"),
        ({"seconds": None}, "expected a number from 0 .* in seconds. Received: nothing"),
        ({"seconds": math.nan}, "expected .* in seconds. Received: nan"),
        ({"seconds": -5}, "expected .* in seconds"),
        ({"seconds": 1e300}, "expected .* in seconds"),
        ({"epochs": "2"}, "expected a number from .* in epochs"),
        ({"epochs": 0}, "expected a number from .* in epochs"),
        ({"epochs": -1}, "expected .* in epochs"),
        ({"cores": -1}, "expected .* in cores"),
        ({"commit": 3}, "expected a text in commit"),
        ({"error": 5}, "expected a text in error"),
        ({"versions": {"keras": [1]}}, "expected a text in versions.keras"),
        ({"learned_from": 7}, "expected an object in learned_from"),
        ({"class_names": ["a"]}, "expected the record of a run"),
        ({"class_names": [1, {}]}, r"expected a text in class_names\[0\]"),
        ({"class_names": [], "last": EMPTY, "best": EMPTY}, "expected the record of a run"),
        ({"ended": "yesterday"}, "expected the record of a run"),
        ({"ended": "2030-01-02T03:04:05"}, "expected the record of a run.*no time zone"),
        ({"settings": [1]}, "expected an object in settings"),
        ({"settings": {"embedding.vectors": 5, "model.units": "x"}}, ".*model.units: expected a"),
        ({"settings": {"data.dataset": []}}, ".*data.dataset: expected text"),
        ({"last": {"epoch": 1}}, "expected a number from 0 to 1 in last.dev. Received: nothing"),
        ({"last": None}, "expected an object in last"),
        ({"best": BEST | {"confusion_matrix": ["ab", "cd"]}}, "expected a list in best.conf"),
        ({"best": BEST | {"confusion_matrix": [[1, "x"], [None, 1]]}}, "expected a whole number"),
        ({"best": BEST | {"confusion_matrix": [[-1, 1], [1, 1]]}}, "expected a whole number from"),
        ({"best": BEST | {"test_polarity": "x"}}, "expected .* in best.test_polarity"),
        ({"history": [1]}, "expected an object in history"),
        ({"history": {"dev_accuracy": "abc"}}, "expected .* in history"),
        ({"history": HISTORY | {"loss": [1]}}, "expected .*the columns of history"),
        ({"history": HISTORY | {"loss": [10**400, 1]}}, "expected the record of a run"),
        ({"checks": {"a": "b"}}, "expected a list in checks.epoch. Received: nothing"),
        ({"scores": 1}, "expected the record of a run"),
        ({"seed": 7}, r"expected the record of this file's run. Received one of own/a/frozen, se"),
    ],
)
def test_what_is_not_the_record_of_its_file(tmp_path, change, message):
    write_record(tmp_path, DONE)
    path = DONE.key.file(tmp_path)
    path.write_text(json.dumps(saved(DONE) | change), "utf-8")
    with pytest.raises(InputError, match=f"a-seed2.json: {message}"):
        read_records(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", "null", '"x"', '["abc"]', "{}"])
def test_a_file_that_is_no_record(tmp_path, text):
    (tmp_path / "a-seed1.json").write_text(text, "utf-8")
    expected = "(a JSON file|a JSON object|a whole number in format)"
    with pytest.raises(InputError, match=f"a-seed1.json: expected {expected}"):
        read_records(tmp_path)


def test_a_folder_without_records(tmp_path):
    assert read_records(tmp_path / "gone") == {}
    (tmp_path / ".runs-x" / "1").mkdir(parents=True)  # what a killed sweep leaves
    (tmp_path / ".runs-x" / "1" / "metrics.json").write_text("{}")
    (tmp_path / ".a-seed1.0123.json").write_text("{")
    assert read_records(tmp_path) == {}
    (tmp_path / "x.jsonl").write_text("{}")
    with pytest.raises(UsageError, match="expected a folder"):
        read_records(tmp_path / "x.jsonl")


def test_settings_are_recorded_without_paths():
    pipeline = load_pipeline("lstm", ["data.dataset=/a/b/own.csv", "embedding.vectors=c/d.txt"])
    settings = recorded_settings(pipeline)
    assert settings["embedding.vectors"] == ("c/d.txt",)
    # Two files of one name are two data sets.
    other = load_pipeline("lstm", ["data.dataset=/a/c/own.csv", "embedding.vectors=c/d.txt"])
    assert differing_settings(settings, recorded_settings(other)) == ["data.dataset"]
    assert settings["data.dataset"].startswith("own.csv#") and "/a" not in str(settings)
    assert settings["model.pooling"] == "last" and len(settings) == len(pipeline.settings())
    # Only what was found for `auto` replaces what was planned.
    changes = {"embedding.vectors": ["glove"], "data.dataset": "sst5", "data.labels": ["a", "b"]}
    found = with_settings(pipeline, changes, "test")
    assert recorded_settings(pipeline, found) == settings
    auto = load_pipeline("lstm", ["data.dataset=auto", "embedding.vectors=auto"])
    assert recorded_settings(auto, found) == recorded_settings(auto) | {
        "data.dataset": "sst5",
        "embedding.vectors": ("glove",),
    }


def test_the_same_settings():
    def differing(planned, recorded):
        return differing_settings(
            recorded_settings(load_pipeline("lstm", planned)),
            recorded_settings(load_pipeline("lstm", recorded)),
        )

    assert differing([], ["training.seed=7"]) == []
    assert differing(["model.units=3"], ["data.batch_size=32"]) == [
        "data.batch_size", "model.units",
    ]  # fmt: skip
    assert differing([], ["embedding.vectors=glove", "data.dataset=auto"]) == []
    assert differing(["embedding.vectors=glove"], []) == []
    assert differing(["embedding.vectors=glove"], ["embedding.vectors=none"]) == [
        "embedding.vectors"
    ]
