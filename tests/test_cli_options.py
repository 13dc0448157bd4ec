import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main


@pytest.mark.parametrize("command", [["train"], ["evaluate"], ["data", "stats"], ["data", "show"]])
def test_commands_that_read_data_say_where_from_in_the_same_words(command):
    text = CliRunner().invoke(main, [*command, "--help"]).stdout
    assert "--dataset sst5|sample|auto|PATH" in text and "--data-dir DIR" in text


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--seconds"],
        ["predict", "RUN", "--engine", "ray", "--gpus"],
        ["pretrain", "CORPUS", "--vectors", "sample", "--learning-rate"],
    ],
)
def test_numbers_are_finite(command, number):
    result = CliRunner().invoke(main, [*command, number])
    assert result.exit_code == 2 and f"Invalid value for '{command[-1]}': {number}" in result.stderr


SWEEP = 'pipeline = "lstm"\nseeds = 1\n[base]\ndata.dataset = "sample"\n[grid]\nmodel.units = [4]\n'
SEARCH = 'pipeline = "lstm"\n[base]\ndata.dataset = "sample"\n[search]\nmodel.units = [4, 8]\n'


@pytest.mark.parametrize(
    "command",
    [["predict", "small", "--file", "a.txt", "--out", "b.csv"], ["reproduce", "sweep.toml"],
     ["search", "search.toml"]],
)  # fmt: skip
def test_without_ray_its_engine_is_refused_before_anything_else(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sweep.toml").write_text(SWEEP)
    Path("search.toml").write_text(SEARCH)
    Path("a.txt").write_text("A film.\n")
    monkeypatch.setitem(sys.modules, "ray", None)
    result = CliRunner().invoke(main, [*command, "--engine", "ray"])
    assert result.exit_code == 2, result.output
    assert "--engine: Ray is not installed. Install it with `pip install" in result.stderr
    assert not result.stdout and not Path("b.csv").exists()
