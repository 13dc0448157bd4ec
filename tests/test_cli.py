"""All commands: help, errors on one line, exit codes."""

import click
import pytest
from click.testing import CliRunner

from sst_keras.cli import COMMANDS, main
from sst_keras.errors import InputError, UsageError


@pytest.fixture
def invoke():
    return lambda *arguments, **kwargs: CliRunner().invoke(main, list(arguments), **kwargs)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(invoke, command):
    result = invoke(command, "--help")
    assert result.exit_code == 0 and result.stdout.startswith("Usage:")


def test_the_commands_are_listed_with_what_they_do(invoke):
    listing = invoke("--help").stdout
    assert all(f"  {command} " in listing for command in COMMANDS)


def test_an_unknown_command(invoke):
    assert invoke("trian").exit_code == 2


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("the file is bad"), 1, "Error: the file is bad"),
        (UsageError("no such thing"), 2, "Error: no such thing"),
        (PermissionError(13, "Permission denied", "x.csv"), 1, "Error: x.csv: Permission denied"),
        (KeyboardInterrupt(), 130, "Stopped."),
    ],
)
def test_errors_are_one_line_and_an_exit_code(invoke, monkeypatch, error, code, message):
    @click.command()
    def fails():
        raise error

    monkeypatch.setattr("sst_keras.cli.runs.runs", fails)
    result = invoke("runs")
    assert result.exit_code == code
    assert message in result.stderr and "Traceback" not in result.output
    assert result.stdout == ""
