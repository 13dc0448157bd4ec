import json
import zipfile

import pytest
from click.testing import CliRunner

from sst_keras import locations
from sst_keras.cli import main
from sst_keras.vectors.files import read_vectors


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors" / "mine.txt").write_text("good 1 0\ngreat 1 0.1\nbad -1 0\nxyz 2 2\n")
    return tmp_path


def vectors(*arguments):
    return CliRunner().invoke(main, ["vectors", *map(str, arguments)])


def test_the_list_of_sets(folder):
    assert "mine" in vectors("info", "--data-dir", folder).stdout
    answer = json.loads(vectors("info", "--data-dir", folder, "--json").stdout)
    assert list(answer["vectors"]) == ["mine"]
    assert "No vectors" in vectors("info").stdout


def test_a_set(folder):
    answer = json.loads(vectors("info", "mine", "--data-dir", folder, "--json").stdout)
    assert answer["dim"] == 2 and answer["words"] == 4 and len(answer["fingerprint"]) == 64
    assert "good, great, bad" in vectors("info", "mine", "--data-dir", folder).stdout


def test_neighbours(folder):
    result = vectors("nearest", "mine", "Good", "-n", 1, "--data-dir", folder)
    assert result.stdout == "Good: great 1.00\n"
    unknown = vectors("nearest", "mine", "film", "--data-dir", folder)
    assert unknown.exit_code == 2 and "'film'" in unknown.stderr


def test_a_subset(folder, tree_folder, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    subset = ("subset", "mine", "--dataset", tree_folder, "--data-dir", folder)
    result = vectors(*subset, "--most-frequent", 0)
    assert result.exit_code == 0, result.output
    out = locations.cache_dir() / "vectors" / "mine.trees.txt.gz"
    size = out.stat().st_size / 1e6
    assert result.stdout == f"{out}: 2 words of 2 numbers, {size:.1f} MB\n"
    assert read_vectors(out).words == ("great", "bad")
    assert "bad -1.00" in vectors("nearest", "mine.trees", "great", "-n", 1).stdout
    # By default, the file's first 20,000 words too.
    assert vectors(*subset, "--out", folder / "all.txt").exit_code == 0
    assert read_vectors(folder / "all.txt").words == ("good", "great", "bad", "xyz")
    assert vectors(*subset, "--out", folder / "all.bin").exit_code == 2


def test_keys_of_a_pattern(folder, tree_folder):
    path = folder / "tagged.csv"
    path.write_text("word,x,y\ngreat_ADJ,1,0\nbad_ADJ,-1,0\nfilm_NOUN,1,1\n,2,2\nplain,3,3\n")
    pattern = ("--key-pattern", "{word}_{tag}")
    shown = vectors("info", path, *pattern).stdout
    assert "first words  great, bad, film\n" in shown
    assert "blank        1\n" in shown and "other keys   1\n" in shown
    assert vectors("nearest", path, "great", "-n", 1, *pattern).stdout == "great: film 0.71\n"
    out = folder / "out.txt"
    subset = ("subset", path, "--dataset", tree_folder, "--out", out)
    assert vectors(*subset, *pattern).exit_code == 0
    assert read_vectors(out).words == ("great", "bad", "film")
    wrong = vectors("info", path, "--key-pattern", "word")
    assert wrong.exit_code == 2 and "Error: --key-pattern: expected {word}" in wrong.stderr


def test_a_member_of_a_zip(folder):
    with zipfile.ZipFile(folder / "vectors" / "glove.zip", "w") as archive:
        archive.writestr("a.txt", "film 1 2\n")
        archive.writestr("b.txt", "film 1 2 3\n")
    answer = vectors("info", "glove.zip/b.txt", "--data-dir", folder, "--json").stdout
    assert (json.loads(answer)["name"], json.loads(answer)["dim"]) == ("b", 3)
    several = vectors("info", "glove", "--data-dir", folder)
    assert several.exit_code == 1 and "glove.zip/b.txt" in several.stderr


def test_fetching_without_a_network(monkeypatch):
    monkeypatch.setattr(locations, "is_reachable", lambda url: False)
    result = vectors("fetch", "glove-wiki-gigaword-50")
    assert result.exit_code == 1 and "does not answer" in result.stderr
