"""Runs that other versions of the package saved: they evaluate, export and predict.

`runs/format-1` was trained by version 0.1.0 at cee8f4f, before formats were numbered. It stays.
"""

import logging
import shutil
from pathlib import Path

import pytest

from sst_keras.classifier import Classifier
from sst_keras.config import load_pipeline
from sst_keras.errors import InputError, UsageError
from sst_keras.evaluation import evaluate
from sst_keras.runs import RunDirectory
from sst_keras.serving.export import export
from sst_keras.serving.prediction import Predictor
from sst_keras.settings import FORMAT


@pytest.fixture
def old_run(tmp_path):
    folder = shutil.copytree(Path(__file__).parent / "runs" / "format-1", tmp_path / "run")
    return RunDirectory(Path(folder))


def warnings(caplog):
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and "another version" in record.getMessage()
    ]


@pytest.mark.slow
def test_a_run_of_format_1(old_run, caplog):
    scores = evaluate(old_run).to_dict()
    assert scores["accuracy"] == old_run.metrics()["test"]["accuracy"]
    assert scores["loss"] == pytest.approx(old_run.metrics()["test"]["loss"], abs=1e-6)
    prediction = Predictor.load(export(old_run))("Not bad.")
    assert prediction.tokens == ("Not", "bad", ".")
    (warning,) = warnings(caplog)
    assert "training.checks_per_epoch, training.score_last" in warning
    # In format 1, training.seed split a single file.
    assert "data.split_seed = 3" in warning and old_run.pipeline.data.split_seed == 3


def test_settings_that_this_version_does_not_know_or_that_are_missing(run_copy, caplog):
    text = run_copy.pipeline_file.read_text("utf-8")
    assert f"format = {FORMAT}" in text
    text = text.replace("[model]", "[model]\nflux_capacitor = 3").replace("clip_norm = 0.0\n", "")
    run_copy.pipeline_file.write_text(text, "utf-8")
    assert evaluate(run_copy).to_dict() == run_copy.metrics()["test"]
    (warning,) = warnings(caplog)
    assert "model.flux_capacitor" in warning and "training.clip_norm = 0.0" in warning
    assert load_pipeline(run_copy.pipeline_file).model.units == 16  # as `train` reads it
    summary = run_copy.summary()
    assert summary["finished"] and summary["dataset"] == "sample"


def test_a_newer_format_is_refused(run_copy):
    text = run_copy.pipeline_file.read_text("utf-8")
    run_copy.pipeline_file.write_text(text.replace(f"format = {FORMAT}", "format = 99"), "utf-8")
    with pytest.raises(UsageError, match="Received: 99.*update the package"):
        evaluate(run_copy)


def test_a_run_can_be_trained_again_from_its_own_file(old_run, caplog):
    pipeline = load_pipeline(old_run.pipeline_file)
    assert pipeline == old_run.pipeline and pipeline.data.split_seed == 3


def test_classes_that_are_missing_or_too_few(run_copy):
    text = run_copy.pipeline_file.read_text("utf-8")
    start, end = text.index("labels = ["), text.index("]", text.index("labels = [")) + 1
    run_copy.pipeline_file.write_text(text[:start] + text[end:], "utf-8")
    assert Classifier.load(run_copy.path).class_names[4] == "very positive"  # of metrics.json
    run_copy.pipeline_file.write_text(text[:start] + "labels = ['a', 'b']" + text[end:], "utf-8")
    with pytest.raises(InputError, match="expected 5 classes in data.labels.*a, b"):
        Classifier.load(run_copy.path)


def test_a_pipeline_of_ones_own_is_read_strictly(tmp_path):
    text = 'extends = "lstm"\nname = "x"\n[data]\n[embedding]\n[training]\n[model]\n'
    (tmp_path / "own.toml").write_text(text + "units = 4\n")
    assert load_pipeline(tmp_path / "own.toml").model.pooling == "last"
    (tmp_path / "own.toml").write_text(text + "unitz = 4\n")
    with pytest.raises(UsageError, match="model.units"):
        load_pipeline(tmp_path / "own.toml")


def test_an_empty_file_is_not_a_run(run_copy):
    run_copy.pipeline_file.write_text("", "utf-8")
    with pytest.raises(UsageError, match="expected the settings of a run"):
        Classifier.load(run_copy)
