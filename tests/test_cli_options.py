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
