import json
import time

import pytest
from click.testing import CliRunner

from sst_keras.cli import main


def data(*arguments):
    return CliRunner().invoke(main, ["data", *arguments])


def test_counts():
    answer = json.loads(data("stats", "--dataset", "sample", "--json").stdout)
    assert answer["splits"]["train"]["texts"] == 1100
    assert answer["splits"]["test"]["classes"]["neutral"] == 50
    table = data("stats", "--dataset", "sample").stdout
    assert "1,100" in table and "lower case types" in table


def test_examples():
    lines = data("show", "--dataset", "sample", "--split", "dev", "-n", "3").stdout.splitlines()
    assert len(lines) == 3
    assert data("show", "--dataset", "sample", "-n", "0").exit_code == 2


@pytest.mark.slow
def test_the_real_counts(real_data):
    answer = json.loads(data("stats", "--data-dir", str(real_data), "--json").stdout)
    train = answer["splits"]["train"]
    assert (train["tokens"], train["types"], train["lower_case_types"]) == (163563, 18280, 16581)
    assert (train["shortest"], train["longest"]) == (2, 52)


def test_fetching_without_a_network_gives_up_soon(offline):
    started = time.monotonic()
    result = data("fetch")
    assert result.exit_code == 1 and "sha256" in result.stderr
    assert time.monotonic() - started < 20
