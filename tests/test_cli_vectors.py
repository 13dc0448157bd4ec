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
    assert vectors(*subset, "--decimals", 1).exit_code == 0  # its own place
    (folder / "mine.txt").write_text("Not bad.")
    mine = vectors(*subset, "--out", folder / "mine.txt")
    assert mine.exit_code == 2 and "Error: --out: " in mine.stderr
    assert (folder / "mine.txt").read_text() == "Not bad."
    assert vectors(*subset, "--out", folder / "mine.txt", "--overwrite").exit_code == 0


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


def test_training(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "texts.csv").write_text(
        "review,id\n" + "Good film. A good film!<br>Bad film,1\n" * 30
    )
    small = ("--dim", 4, "--epochs", 1, "--workers", 1)
    train = ("train", tmp_path / "texts.csv", "--text-column", "review", *small)
    result = vectors(*train)
    assert result.exit_code == 0, result.output
    assert "90 sentences (87 of them repeated)" in result.stderr
    path = locations.cache_dir() / "vectors" / "texts-skip-gram-4.bin"
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{path}: 6 words of 4 numbers, 0.0 MB, ")
    assert lines[-1] == "Use them: sst-keras train --vectors texts-skip-gram-4"
    assert "there already" in vectors(*train).stdout
    answer = json.loads(vectors(*train, "--json").stdout)
    assert (answer["words"], answer["is_new"], answer["corpus"]["tokens"]) == (6, False, 270)
    refused = vectors(*train, "--window", 2)
    assert refused.exit_code == 2 and "Error: --out: " in refused.stderr
    shown = vectors("info", "texts-skip-gram-4").stdout
    assert "trained on   texts, 90 sentences, 270 tokens, 6 words\n" in shown
    assert "settings     model skip-gram, dim 4, window 5, min_count 3" in shown
    cased = vectors(*train, "--cased", "--out", tmp_path / "cased.txt")
    assert f"--vectors {tmp_path / 'cased.txt'}" in cased.stdout
    assert set(read_vectors(tmp_path / "cased.txt").words) == {
        "film", "Good", ".", "A", "good", "!", "Bad",
    }  # fmt: skip


def test_options_are_checked_before_texts_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("sst_keras.pretraining.corpus.prepare_corpus", None)
    result = vectors("train", tmp_path / "none.txt", "--add-words", "sample")
    assert result.exit_code == 2 and "--add-words: only fasttext" in result.stderr


@pytest.mark.parametrize(
    "options, code, message",
    [
        (["--dim", 0], 2, "'--dim': 0 is not in the range"),
        (["--model", "glove"], 2, "--model"),
        (["--min-count", 99], 2, "--min-count: expected at least 2 words"),
        (["--text-column", "review"], 2, "--text-column: "),
        (["--add-words", "sample"], 2, "--add-words: only fasttext"),
        (["--out", "a/b"], 2, "--out: "),
    ],
)
def test_training_that_is_refused(tmp_path, options, code, message):
    (tmp_path / "texts.csv").write_text("id,text\n1,Good film\n2,Bad film\n")
    result = vectors("train", tmp_path / "texts.csv", *options)
    assert result.exit_code == code and message in result.stderr
    assert not list(tmp_path.glob("*.bin"))


def test_a_corpus_that_is_not_there(tmp_path):
    assert vectors("train").exit_code == 2
    result = vectors("train", tmp_path / "none.txt")
    assert result.exit_code == 2 and "Error: there is no file or folder" in result.stderr
    (tmp_path / "empty.txt").write_text("\n")
    assert vectors("train", tmp_path / "empty.txt").exit_code == 1


def test_words_of_a_data_set(tmp_path):
    (tmp_path / "texts.txt").write_text("Good film .\nBad film .\n" * 5)
    out = tmp_path / "out.txt"
    result = vectors(
        "train", tmp_path / "texts.txt", "--model", "fasttext", "--dim", 2, "--epochs", 1,
        "--add-words", "sample", "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    words = read_vectors(out).words
    assert words[:4] == (".", "film", "bad", "good") and len(words) > 200
