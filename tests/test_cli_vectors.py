import json

import pytest
from click.testing import CliRunner

from sst_keras.cli import main


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "mine.txt").write_text("good 1 0\ngreat 1 0.1\nbad -1 0\n")
    return tmp_path


def vectors(*arguments):
    return CliRunner().invoke(main, ["vectors", *map(str, arguments)])


def test_the_sets_there_are(folder):
    assert "mine" in vectors("info", "--data-dir", folder).stdout
    answer = json.loads(vectors("info", "--data-dir", folder, "--json").stdout)
    assert list(answer["vectors"]) == ["mine"]
    assert "No vectors" in vectors("info").stdout


def test_a_set(folder):
    answer = json.loads(vectors("info", "mine", "--data-dir", folder, "--json").stdout)
    assert answer["dim"] == 2 and answer["words"] == 3 and len(answer["fingerprint"]) == 64
    assert "good, great, bad" in vectors("info", "mine", "--data-dir", folder).stdout


def test_neighbours(folder):
    result = vectors("nearest", "mine", "Good", "-n", 1, "--data-dir", folder)
    assert result.stdout == "Good: great 1.00\n"
    unknown = vectors("nearest", "mine", "film", "--data-dir", folder)
    assert unknown.exit_code == 2 and "'film'" in unknown.stderr


def test_fetching_without_a_network(monkeypatch):
    monkeypatch.setattr("sst_keras.datasets.sst5.source.is_reachable", lambda url: False)
    result = vectors("fetch", "glove-wiki-gigaword-50")
    assert result.exit_code == 1 and "does not answer" in result.stderr
