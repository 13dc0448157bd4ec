import json

import pytest
from click.testing import CliRunner

from sst_keras.cli.report import report as command
from sst_keras.errors import InputError, UsageError

SWEEP = "seeds = 1\n[rows]\na = { model.units = 64, published = 50.0 }\n"
RECORD = {
    "pipeline": "small/a", "tag": "a", "variant": None, "seed": 1, "epochs": 1, "best_epoch": 1,
    "dev": 0.5, "test": 0.5, "dev_at_best": 0.5, "test_at_best_dev": 0.5, "seconds": 1.0,
    "ended": "2026-01-01T00:00:00+00:00",
    "commit": None, "versions": {}, "vectors": ["none"], "dataset": "toy",
    "data_fingerprint": "f00d",
    "settings": {"model.units": 64},
    "history": {"epoch": [1], "loss": [1.0], "accuracy": [0.5], "dev_loss": [1.0],
                "dev_accuracy": [0.5]},
    "checks": None, "class_names": ["bad", "good"], "confusion_matrix": [[1, 1], [1, 1]],
    "confusion_matrix_at_best": [[1, 1], [1, 1]],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(SWEEP)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "small.jsonl").write_text(json.dumps(RECORD) + "\n")
    return tmp_path


def report(*arguments):
    return CliRunner().invoke(command, list(arguments))


def test_files_are_where_they_are_said_to_be(folder):
    result = report("small.toml")
    assert result.exit_code == 0, result.output
    assert result.output.split() == [
        "RESULTS.md", "docs/results.html", "docs/results/rows.png", "docs/results/confusion.png",
    ]  # fmt: skip
    assert all((folder / path).is_file() for path in result.output.split())
    assert "out of `results/small.jsonl`" in (folder / "RESULTS.md").read_text("utf-8")


def test_json_and_other_places(folder):
    records = folder / "results" / "small.jsonl"
    records.rename(folder / "mine.jsonl")
    places = ("--records", "mine.jsonl", "--out", "out/R.md", "--html", "out/page.html")
    result = report("small.toml", *places, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["sweep"], found["runs"], found["failed"]) == ("small", 1, 0)
    assert found["rows"][0]["last"] == {"mean": 50.0, "sd": None, "n": 1}
    assert found["files"][:3] == ["out/R.md", "out/page.html", "out/page/rows.png"]
    assert "(page/rows.png)" in (folder / "out" / "R.md").read_text("utf-8")


def test_no_records(folder):
    (folder / "results" / "small.jsonl").unlink()
    result = report("small.toml")
    assert isinstance(result.exception, UsageError)
    assert "no file of records 'results/small.jsonl'" in str(result.exception)
    assert "sst-keras reproduce small.toml" in str(result.exception)


def test_empty_records(folder):
    (folder / "results" / "small.jsonl").write_text("")
    result = report("small.toml")
    assert isinstance(result.exception, InputError)
    assert "expected a finished run of the sweep 'small'" in str(result.exception)
    assert not (folder / "RESULTS.md").exists()


def test_no_such_sweep(folder):
    assert isinstance(report("nothing").exception, UsageError)
