import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.cli.reproduce import _time
from sst_keras.engines.local import JobError, Machine
from sst_keras.experiments.records import RunKey, read_records
from sst_keras.locks import locked

REPOSITORY = Path(__file__).parents[1]

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

    def here(machine, jobs, work):
        """Runs jobs in this process: starting others takes most of a small training's time."""
        for job in jobs:
            try:
                yield job, work(job)
            except Exception as error:
                yield job, JobError(f"{type(error).__name__}: {error}", 0.1)

    monkeypatch.setattr(Machine, "run", here)

    def run(*arguments):
        return CliRunner().invoke(main, ["reproduce", *arguments])

    return run


def test_a_dry_run_runs_nothing(reproduce, tmp_path):
    result = reproduce("--dry-run", "--rows", "V2.*", "--seeds", "2")
    assert result.exit_code == 0
    assert "14 runs, 14 to run; records in results/paper" in result.stdout
    assert result.stdout.count("paper/V2.3") == 2 and "V1" not in result.stdout
    plan = json.loads(reproduce("--dry-run", "--json").stdout)
    assert len(plan["runs"]) == 135 and not any(run["done"] for run in plan["runs"])
    assert plan["runs"][0] == {
        "sweep": "paper", "row": "V1.1", "variant": None, "seed": 1, "done": False,
    }  # fmt: skip
    assert plan["records"] == "results/paper" and plan["seconds_left"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["own.toml"]


def test_a_dry_run_of_a_sweep_that_is_done(reproduce):
    result = reproduce("--dry-run", "--records", str(REPOSITORY / "results" / "paper"))
    assert result.exit_code == 0 and "135 runs, all done; records in" in result.stdout
    more = reproduce(
        "--dry-run", "--records", str(REPOSITORY / "results" / "paper"), "--seeds", "6",
        "--rows", "V3.1",
    )  # fmt: skip
    assert "6 runs, 1 to run, about" in more.stdout


@pytest.mark.slow
def test_failed_runs_are_reported_and_run_again_on_request(reproduce):
    result = reproduce("own.toml")
    assert result.exit_code == 1
    assert "1 of the runs failed" in result.stderr and "--retry" in result.stderr
    assert "own/broken" in result.stderr and "FAILED: TrainingDiverged" in result.stderr
    assert "2 runs in results/own, 2 of them new" in result.stdout
    folder = Path("results/own")
    good, broken = (RunKey("own", row, None, 1) for row in ("good", "broken"))
    records = read_records(folder)
    assert "2 runs, all done" in reproduce("own.toml", "--dry-run").stdout
    assert "2 runs, 1 to run" in reproduce("own.toml", "--dry-run", "--retry").stdout

    result = reproduce("own.toml", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "records": "results/own",
        "runs": 2,
        "run_now": 0,
        "failed": [broken._asdict()],
    }
    # Runs that were not selected have no effect, failed or not.
    assert reproduce("own.toml", "--rows", "good", "--retry").exit_code == 0
    assert read_records(folder) == records
    assert reproduce("own.toml", "--retry").exit_code == 1
    again = read_records(folder)
    assert again[good] == records[good] and again[broken] != records[broken]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no sweep 'nothing'"),
        (["own.toml", "--rows", "x"], "nothing matches 'x'. Expected one of good, broken"),
        (["own.toml", "--variant", "x"], "nothing matches 'x'. Expected one of none"),
        (["own.toml", "--records", "own.toml"], "expected a folder. Received a file"),
        (["own.toml", "--set", "model.unit=3"], "did you mean 'model.units'"),
        (["own.toml", "--data-dir", "gone"], "expected a folder"),
        (["own.toml", "--seeds", "0"], "--seeds"),
        (["own.toml", "--jobs", "0"], "--jobs"),
    ],
)
def test_wrong_calls(reproduce, arguments, message):
    result = reproduce(*arguments, "--dry-run")
    assert result.exit_code == 2
    assert message in result.stderr


def test_two_commands_do_not_write_into_one_folder_of_records(reproduce):
    with locked("results/own"):
        result = reproduce("own.toml")
        assert result.exit_code == 2
        assert "--records: another process is writing into 'results/own'" in result.stderr
        assert "2 to run" in reproduce("own.toml", "--dry-run").stdout


@pytest.mark.slow
def test_runs_with_other_settings_are_refused(reproduce):
    assert reproduce("own.toml", "--rows", "good").exit_code == 0
    result = reproduce("own.toml", "--rows", "good", "--set", "model.units=8")
    assert result.exit_code == 2
    assert "model.units is 4, not 8" in result.stderr
    other = reproduce("own.toml", "--rows", "good", "--set", "model.units=8", "--records", "other")
    assert other.exit_code == 0 and "1 runs in other, 1 of them new" in other.stdout


@pytest.mark.slow
def test_the_time_that_is_left_is_printed_after_the_first_run(reproduce):
    result = reproduce("own.toml", "--rows", "good", "--seeds", "2", "--jobs", "1")
    first, second = (line for line in result.stderr.splitlines() if "own/good, seed" in line)
    assert ", about " in first and ", about " not in second
    assert "1/2  own/good, seed 1" in first and "best epoch 1 of 1" in second


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (89.4, ", about 89 seconds"), (100, ", about 2 minutes"), (8000, ", about 2.2 h")],
)
def test_times_for_people(seconds, text):
    assert _time(seconds).startswith(text) and (seconds or not _time(seconds))
