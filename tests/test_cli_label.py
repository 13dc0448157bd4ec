"""`sst-keras label`, and a student that learns from what it makes."""

import json
import shutil

import pytest
from click.testing import CliRunner

from sst_keras.cli import main

SENTENCES = [
    f"The film is {what} and the plot was {how}."
    for what in ("good", "bad", "dull", "great", "not bad")
    for how in ("fine", "weak", "funny", "slow")
]


@pytest.fixture
def place(tmp_path, monkeypatch, trained_run):
    """A folder with a file of 20 sentences, some of them twice, and a trained run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films.txt").write_text("\n".join(SENTENCES + SENTENCES[:5]), "utf-8")
    shutil.copytree(trained_run.path, tmp_path / "saved_models" / "teacher")
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == code, result.output
    return result


@pytest.mark.slow
def test_a_student_learns_from_a_teacher(place):
    made = run("label", "films.txt", "--teacher", "teacher")
    assert "20 sentences" in made.stdout and "very negative" in made.stdout
    assert "--set data.pseudo_labels=pseudo-labels/films" in made.stdout
    assert "Labelling, 1 teacher" in made.stderr
    again = json.loads(run("label", "films.txt", "--teacher", "teacher", "--json").stdout)
    assert again["sentences"] == 20 and sum(again["shares"].values()) == pytest.approx(1)
    other = run("label", "films.txt", "--teacher", "teacher", "--seed", "2", code=2)
    assert "--out" in other.stderr and "settings.seed is 1, not 2" in other.stderr

    listed = json.loads(run("runs", "--json").stdout)["pseudo_labels"]
    assert [each["run"] for each in listed] == ["pseudo-labels/films"]
    assert "pseudo-labels, films, by teacher: 20 sentences" in run("runs").stdout

    arguments = ["--dataset", "sample", "--vectors", "sample", "--epochs", "2", "--run-dir", "run"]
    arguments += ["--set", "data.pseudo_labels=pseudo-labels/films", "--set", "model.units=4"]
    trained = json.loads(run("train", "lstm-attention", *arguments, "--json").stdout)
    assert trained["finished"] and trained["epochs"] == 2
    predicted = json.loads(run("predict", "run", "Not bad at all.", "--json").stdout)
    exported = json.loads(run("predict", "run/saved_model/1", "Not bad at all.", "--json").stdout)
    assert predicted["predictions"] == exported["predictions"]


def test_options_are_checked_before_texts_are_read(place, monkeypatch):
    monkeypatch.setattr("sst_keras.pretraining.corpus.prepare_corpus", None)
    arguments = ["label", "films.txt", "--teacher", "teacher", "--label-column", "stars"]
    assert "--label-column: expected --document-labels" in run(*arguments, code=2).stderr


def test_usage_errors(place):
    assert "Missing option '--teacher'" in run("label", "films.txt", code=2).stderr
    assert "'nobody'" in run("label", "films.txt", "--teacher", "nobody", code=2).stderr
    long = run("label", "films.txt", "--teacher", "teacher", "--shortest", "40", code=2)
    assert "sentences of 40 to 45 tokens" in long.stderr
    turned = run(
        "label", "films.txt", "--teacher", "teacher", "--shortest", "9", "--longest", "8", code=2
    )
    assert "--longest" in turned.stderr and "at least the 9" in turned.stderr
    same = run("label", "films.txt", "--teacher", "teacher", "--teacher", "teacher", code=2)
    assert "--teacher" in same.stderr and "the same model twice" in same.stderr
    (place / "saved_models" / "teacher" / "metrics.json").unlink()
    unfinished = run("label", "films.txt", "--teacher", "teacher", code=2)
    assert "teacher is not finished" in unfinished.stderr
