import json

import pytest
from click.testing import CliRunner
from report_records import record

from sst_keras.cli.report import report as command
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.records import write_record
from sst_keras.experiments.sweep import load_sweep


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = "seeds = 1\n[rows]\na = { model.units = 64, published = 50.0 }\n"
    (tmp_path / "small.toml").write_text(f'{sweep}[report]\nout = "R.md"\nhtml = "docs/r.html"\n')
    (experiment,) = load_sweep("small.toml").experiments
    write_record(tmp_path / "results" / "small", record(experiment, 1, 50))
    return tmp_path


def report(*arguments):
    return CliRunner().invoke(command, list(arguments))


def test_files_are_where_the_sweep_says(folder):
    result = report("small.toml")
    assert result.exit_code == 0, result.output
    # One row is compared with none, so there is no figure of rows.
    assert result.output.split() == ["R.md", "docs/r.html", "docs/r/confusion.png"]
    assert all((folder / path).is_file() for path in result.output.split())
    assert "`results/small`" in (folder / "R.md").read_text("utf-8")


def test_json_and_other_places(folder):
    (folder / "results" / "small").rename(folder / "mine")
    places = ("--records", "mine", "--out", "out/R.md", "--html", "out/page.html")
    result = report("small.toml", *places, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert (found["sweep"], found["runs"], found["failed"]) == ("small", 1, 0)
    assert found["rows"][0]["last"] == {"mean": 50.0, "sd": None, "n": 1, "interval": None}
    assert found["files"][:3] == ["out/R.md", "out/page.html", "out/page/confusion.png"]
    assert "(page/confusion.png)" in (folder / "out" / "R.md").read_text("utf-8")


def test_table_is_printed_and_nothing_written(folder):
    before = sorted(folder.rglob("*"))
    result = report("small.toml", "--table")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "| a | glove.small | 51.0 | 50.0 | 1 | 10 |"
    assert sorted(folder.rglob("*")) == before


def test_no_records(folder):
    result = report("small.toml", "--records", "nowhere")
    assert isinstance(result.exception, UsageError)
    assert "no folder of records 'nowhere'" in str(result.exception)
    assert "sst-keras reproduce small.toml" in str(result.exception)


def test_empty_records(folder):
    (folder / "results" / "small" / "a-seed1.json").unlink()
    result = report("small.toml")
    assert isinstance(result.exception, InputError)
    assert "expected a finished run of the sweep 'small'" in str(result.exception)
    assert not (folder / "R.md").exists()


def test_no_such_sweep(folder):
    assert isinstance(report("nothing").exception, UsageError)
