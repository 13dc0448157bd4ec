import pytest
from click.testing import CliRunner

from sst_keras.cli import main


@pytest.mark.parametrize("command", [["train"], ["evaluate"], ["data", "stats"], ["data", "show"]])
def test_commands_that_read_data_say_where_from_in_the_same_words(command):
    text = CliRunner().invoke(main, [*command, "--help"]).stdout
    assert "--dataset sst5|sample|auto|PATH" in text and "--data-dir DIR" in text
