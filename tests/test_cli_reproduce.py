import json

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.experiments.records import read_records

SWEEP = """
pipeline = "mlp"
[base]
data.dataset = "sample"
embedding.vectors = ["none"]
embedding.dim = 4
model.units = 4
training.epochs = 1
[rows]
good = {}
broken = { training.optimizer = "sgd", training.learning_rate = 1e38 }
"""


@pytest.fixture
def reproduce(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text(SWEEP, "utf-8")

    def run(*arguments):
        return CliRunner().invoke(main, ["reproduce", *arguments])

    return run


def test_a_dry_run_runs_nothing(reproduce, tmp_path):
    result = reproduce("--dry-run", "--rows", "V2.*", "--seeds", "2")
    assert result.exit_code == 0
    assert "14 runs, 14 of them to run" in result.stdout
    assert result.stdout.count("paper/V2.3") == 2 and "V1" not in result.stdout
    plan = json.loads(reproduce("--dry-run", "--json").stdout)
    assert len(plan["runs"]) == 135 and not any(run["done"] for run in plan["runs"])
    assert plan["records"] == "results/paper.jsonl" and plan["seconds_left"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["own.toml"]


def test_failed_runs_are_told_and_run_again_when_asked(reproduce):
    result = reproduce("own.toml")
    assert result.exit_code == 1
    assert "1 of the runs failed" in result.stderr and "--retry" in result.stderr
    assert "own/broken" in result.stderr and "FAILED: TrainingDiverged" in result.stderr
    assert "2 runs in results/own.jsonl, 2 of them now" in result.stdout
    records = read_records("results/own.jsonl")
    assert "2 runs, 0 of them to run" in reproduce("own.toml", "--dry-run").stdout
    assert "2 runs, 1 of them to run" in reproduce("own.toml", "--dry-run", "--retry").stdout

    result = reproduce("own.toml", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "records": "results/own.jsonl",
        "runs": 2,
        "run_now": 0,
        "failed": [["own/broken", None, 1]],
    }
    good = reproduce("own.toml", "--rows", "good")  # what was asked for has not failed
    assert good.exit_code == 0
    assert reproduce("own.toml", "--retry").exit_code == 1
    # What is not asked for is left alone, failed or not.
    assert reproduce("own.toml", "--rows", "good", "--retry").exit_code == 0
    again = read_records("results/own.jsonl")
    assert len(again) == 2 and next(r for r in again if r["tag"] == "good") in records


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no sweep 'nothing'"),
        (["own.toml", "--rows", "x"], "--rows: nothing fits 'x'"),
        (["own.toml", "--variant", "x"], "--variant: nothing fits 'x'. There are none"),
        (["own.toml", "--set", "model.unit=3"], "did you mean 'model.units'"),
        (["own.toml", "--data-dir", "gone"], "--data-dir: expected a folder"),
        (["own.toml", "--seeds", "0"], "--seeds"),
        (["own.toml", "--jobs", "0"], "--jobs"),
    ],
)
def test_wrong_calls(reproduce, arguments, message):
    result = reproduce(*arguments, "--dry-run")
    assert result.exit_code == 2
    assert message in result.stderr


def test_other_vectors_do_not_mix_with_what_is_recorded(reproduce, tmp_path):
    (tmp_path / "results").mkdir()
    assert reproduce("own.toml", "--rows", "good").exit_code == 0
    result = reproduce("own.toml", "--rows", "good", "--set", "model.units=8")
    assert result.exit_code == 2
    assert "other settings (model.units)" in result.stderr and "--records" in result.stderr
