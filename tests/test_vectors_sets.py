import gzip
import json
import os
import time
import urllib.error
import zipfile
from collections import Counter

import numpy as np
import pytest
from gensim.models import KeyedVectors

from sst_keras import locations
from sst_keras.errors import InputError, UsageError
from sst_keras.treebank import read_trees
from sst_keras.vectors import sets
from sst_keras.vectors.files import read_vectors
from sst_keras.vectors.matching import embedding_matrix, measure_coverage
from sst_keras.vectors.sets import (
    available_vectors,
    choose_vectors,
    describe,
    fetch_vectors,
    find_vectors,
    fingerprint,
    lasting_name,
    load_vectors,
    misfit,
    nearest,
    write_subset,
)


def write(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


# === Finding and choosing ===


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vectors").mkdir()
    write(tmp_path / "vectors" / "few.txt.gz", b"film 1 2\n")
    write(tmp_path / "vectors" / "many.txt", b"film 1 2\ngood 3 4\n")
    write(tmp_path / "vectors" / "many.bin", b"1 1\nfilm " + np.float32(1).tobytes())
    return tmp_path


@pytest.fixture
def messages(monkeypatch):
    received = []
    monkeypatch.setattr(sets.log, "info", received.append)
    monkeypatch.setattr(sets.log, "warning", received.append)
    return received


def test_names(folder):
    assert list(available_vectors(folder)) == ["few", "many"]
    assert find_vectors("few", folder).name == "few.txt.gz"
    assert find_vectors("many", folder).name == "many.txt"
    assert find_vectors("many.bin", folder).name == "many.bin"
    path = folder / "vectors" / "many.txt"
    assert find_vectors(path) == path
    assert find_vectors("sample") == locations.bundled("sample") / "vectors.txt"
    with pytest.raises(UsageError, match="did you mean 'many'.*sample, few, many") as error:
        find_vectors("mny", folder)
    assert error.value.setting == "embedding.vectors"


def test_what_a_killed_writer_left_is_no_set(folder):
    write(folder / "vectors" / ".many.0123abcd.txt", b"film 1 2\ngood 3 4\n")
    assert list(available_vectors(folder)) == ["few", "many"]


def test_sets_of_the_downloader_are_found(monkeypatch, tmp_path):
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    (tmp_path / "gensim-data" / "glove-x").mkdir(parents=True)
    write(tmp_path / "gensim-data" / "glove-x" / "glove-x.gz", b"2 1\nfilm 1\ngood 2\n")
    assert read_vectors(find_vectors("glove-x")).words == ("film", "good")
    assert fetch_vectors("glove-x").name == "glove-x.gz"  # without a network


def test_a_download_that_breaks_off(monkeypatch):
    import gensim.downloader

    def broken(*_, **__):
        raise urllib.error.URLError("connection reset")

    monkeypatch.setattr(locations, "is_reachable", lambda address: True)
    monkeypatch.setattr(gensim.downloader, "info", broken)
    with pytest.raises(InputError, match="glove-x: .*connection reset"):
        fetch_vectors("glove-x")

    def told(*_, **__):  # as gensim says it
        raise Exception("Checksum comparison failed, try again")

    for answer in (told, lambda **_: json.loads("<html>"), lambda **_: {}):
        monkeypatch.setattr(gensim.downloader, "info", answer)
        with pytest.raises(InputError, match="glove-x: the download broke off"):
            fetch_vectors("glove-x")
    monkeypatch.setattr(gensim.downloader, "info", lambda name_only: {"models": ["glove-x"]})
    with pytest.raises(UsageError, match="'glove-y'.*did you mean 'glove-x'"):
        fetch_vectors("glove-y")


def test_fetching_without_a_network(monkeypatch):
    monkeypatch.setattr(locations, "is_reachable", lambda address: False)
    with pytest.raises(InputError, match="glove-x: .*does not answer"):
        fetch_vectors("glove-x")


def test_the_set_with_most_of_the_words(folder, messages):
    assert choose_vectors({"train": {"film": 1, "good": 1}}, folder) == "many"
    assert messages == [
        "Vectors: many (100.0 % of the tokens, 2 numbers) chosen over few (50.0 %, 2)"
    ]
    # Equal coverage and width: the first by name.
    assert choose_vectors({"train": {"film": 1}}, folder) == "few"
    assert choose_vectors({"train": {"film": 1}}) is None
    # Equal coverage: the wider set.
    write(folder / "vectors" / "wide.txt", b"film 1 2 3\n")
    assert choose_vectors({"train": {"film": 1}}, folder) == "wide"


def test_a_file_of_another_kind_is_skipped_with_a_warning(folder, messages):
    (folder / "vectors" / "README.txt").write_text("What these files are.\nMore.\n")
    assert choose_vectors({"train": {"film": 1, "good": 1}}, folder) == "many"
    assert len(messages) == 2 and "README.txt" in messages[0]


def test_choosing_reads_what_gensim_saved(folder):
    best = KeyedVectors(3)
    best.add_vectors(["film", "good", "bad"], np.eye(3, dtype=np.float32))
    for name in ("best", "many"):
        best.save(str(folder / "vectors" / f"{name}.kv"))
    assert find_vectors("many", folder).name == "many.txt"
    assert choose_vectors({"train": {"film": 1, "good": 1, "bad": 1}}, folder) == "best"


ENGLISH = {"train": {"the": 6, "film": 2, ".": 2, "good": 1, "bad": 1}}


def prefixed(folder):
    rows = b"".join(b"/c/en/%s 1 2 3\n" % word for word in (b"the", b"film", b"good"))
    return write(folder / "vectors" / "prefixed.txt", rows)


def test_choosing_passes_over_what_covers_nothing(folder, messages):
    prefixed(folder)
    write(folder / "vectors" / "russian.txt", "и 1 2 3 4\nв 1 2 3 4\n. 1 2 3 4\n".encode())
    assert choose_vectors(ENGLISH, folder) == "many"
    assert "skipped prefixed, because prefixed has vectors for 0.0% of the texts'" in messages[0]
    assert "embedding.key_pattern=/c/en/{word}" in messages[0]
    assert "skipped russian" in messages[1] and "Cyrillic" in messages[1]
    assert len(messages) == 3
    # With the pattern, the others are passed over.
    assert choose_vectors(ENGLISH, folder, key_pattern="/c/en/{word}") == "prefixed"
    assert choose_vectors({"train": {"dom": 1}}, folder) is None


def problem_of(folder, content, counts=ENGLISH, pattern="{word}"):
    path = write(folder / "x.txt", content)
    vectors = load_vectors(path, set().union(*counts.values()), 0, pattern)
    return misfit(path, vectors, counts, pattern)


def test_sets_that_do_not_fit(tmp_path, own_cache):
    rows = b"".join(b"w%d 1\n" % number for number in range(9))
    assert problem_of(tmp_path, rows + b"the 1\n") == ("", False)  # 6 of 10 words with letters
    problem, is_unfit = problem_of(tmp_path, rows + b"film 1\n")  # 2 of 10: doubtful
    assert problem.startswith("x has vectors for 20.0% of the texts' words. The file has 'w0'")
    assert not is_unfit
    assert problem_of(tmp_path, rows + b". 1\n")[1]  # punctuation does not count
    assert problem_of(tmp_path, b"film 1\n") == ("", False)  # few rows, all used
    # The words are tagged, although some are plain.
    problem, is_unfit = problem_of(tmp_path, b"film 1\nthe_DET 1\nbad_ADJ 1\n")
    assert is_unfit and "embedding.key_pattern={word}_{tag}" in problem
    tagged = b"the_DET 1\nfilm 1\n"
    assert problem_of(tmp_path, tagged, pattern="{word}_{tag}") == ("", False)
    problem, is_unfit = problem_of(tmp_path, rows, pattern="/c/en/{word}")
    assert is_unfit and "; 0 of its 9 words are /c/en/{word}. " in problem
    # Texts without letters are compared by all they have.
    assert problem_of(tmp_path, rows + b"! 1\n", {"train": {"!": 1}}) == ("", False)


# === Files in zips ===


@pytest.fixture
def glove(folder):
    with zipfile.ZipFile(folder / "vectors" / "glove.zip", "w") as archive:
        archive.writestr("glove.50d.txt", "film 1 2\n")
        archive.writestr("glove.100d.txt", "film 1 2 3\n")
    return folder / "vectors" / "glove.zip"


def test_members_of_a_zip(folder, glove, own_cache):
    short, long = (find_vectors(f"glove.zip/glove.{dim}d.txt", folder) for dim in (50, 100))
    assert short == glove / "glove.50d.txt"
    assert find_vectors(str(long)) == long
    assert [load_vectors(path, ["film"]).dim for path in (short, long)] == [2, 3]
    described = describe(long)
    assert (described["name"], described["bytes"]) == ("glove.100d", 11)
    # The fingerprint is that of the member, as if it were unpacked.
    unpacked = write(folder / "any.txt", b"film 1 2 3\n")
    assert described["fingerprint"] == fingerprint(unpacked) != fingerprint(short)
    os.utime(glove, (1, 1))
    assert fingerprint(long) == fingerprint(long) == described["fingerprint"] != fingerprint(short)
    with pytest.raises(UsageError, match="no 'x' in the zip.*glove.50d.txt, glove.100") as error:
        find_vectors("glove.zip/x", folder)
    assert error.value.setting == "embedding.vectors"


def test_a_zip_of_several_files_is_skipped_with_the_way_to_name_one(folder, glove, messages):
    assert choose_vectors({"train": {"film": 1, "good": 1}}, folder) == "many"
    assert "Received 2" in messages[0] and "glove.zip/glove.100d.txt" in messages[0]


# === Names that last ===


def test_what_finds_a_file_again(folder, glove, tmp_path, monkeypatch):
    many, own = folder / "vectors" / "many.txt", write(tmp_path / "own.txt", b"film 1\n")
    assert lasting_name(many, folder) == "many"
    assert lasting_name(many) == str(many)  # another data folder
    assert lasting_name(folder / "vectors" / "many.bin", folder) == str(many.with_suffix(".bin"))
    monkeypatch.chdir(tmp_path)
    assert lasting_name(find_vectors("own.txt")) == str(own)
    assert lasting_name(glove / "glove.50d.txt", folder) == str(glove / "glove.50d.txt")
    assert lasting_name(find_vectors("sample")) == "sample"
    own.unlink()
    with pytest.raises(UsageError, match="there is no file .*own.txt"):
        find_vectors(str(own))


# === Loading ===


THREE = b"3 2\nthe 1 2\nfilm -3 0.004\nna\xc3\xafve 0 1e10\n"


def cached_files():
    return sorted((locations.cache_dir() / "vectors-cache").glob("*.npz"))


def test_the_cache_gives_the_same(tmp_path, own_cache, monkeypatch):
    path = write(tmp_path / "x.txt", THREE)
    first = load_vectors(path, ["Naïve"], 1)
    assert first.words == ("the", "naïve")
    monkeypatch.setattr(sets, "read_vectors", None)  # reading the file would fail
    again = load_vectors(path, ["Naïve"], 1)
    assert again.words == first.words and again.vectors.tolist() == [[1, 2], [0, 1e10]]
    assert again.vectors.dtype == np.float32
    assert again.words_in_file == first.words_in_file == 3


def test_the_cache_is_keyed_by_content(tmp_path, own_cache):
    path = write(tmp_path / "x.txt", b"film 1 2\n")
    assert load_vectors(path, ["film"]).vectors.tolist() == [[1, 2]]
    path.write_bytes(b"film 3 4\n")
    assert load_vectors(path, ["film"]).vectors.tolist() == [[3, 4]]
    assert load_vectors(path, ["film", "other"]).vectors.tolist() == [[3, 4]]
    assert len(cached_files()) == 3
    copy = write(tmp_path / "copy.txt", b"film 3 4\n")
    assert load_vectors(copy, ["film"]).name == "copy"
    assert len(cached_files()) == 3


def test_the_cache_is_keyed_by_the_pattern(tmp_path, own_cache, monkeypatch):
    path = write(tmp_path / "x.txt", b"film_N 1\nfilm 2\n  3\n")
    for _ in range(2):
        tagged = load_vectors(path, ["film"], 0, "{word}_{tag}")
        plain = load_vectors(path, ["film"])
        assert (tagged.vectors.tolist(), plain.vectors.tolist()) == ([[1]], [[2]])
        assert (tagged.other_keys, tagged.blank, plain.other_keys, plain.blank) == (1, 1, 0, 1)
        monkeypatch.setattr(sets, "read_vectors", None)  # reading the file again would fail


def test_a_damaged_cache_is_written_again(tmp_path, own_cache):
    path = write(tmp_path / "x.txt", THREE)
    load_vectors(path, ["film"])
    whole = cached_files()[0].read_bytes()
    entry = whole.index(b"PK\x01\x02")  # of the zip's directory
    later = whole[: entry + 6] + b"\x7b" + whole[entry + 7 :]  # a version that Python does not know
    encrypted = whole[: entry + 8] + b"\x01" + whole[entry + 9 :]
    for content in (b"", b"PK\x03\x04 half", whole[:-30], later, encrypted):
        cached_files()[0].write_bytes(content)
        assert load_vectors(path, ["film"]).words == ("film",)


ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256 of "abc"


def test_a_fingerprint_is_cached(tmp_path, own_cache, monkeypatch):
    path = write(tmp_path / "x.txt", b"abc")
    os.utime(path, (1, 1))
    assert fingerprint(path) == ABC
    monkeypatch.setattr(sets.hashlib, "file_digest", None)  # hashing the file would fail
    assert fingerprint(path) == ABC


def test_a_fingerprint_follows_the_file(tmp_path, own_cache):
    path = write(tmp_path / "x.txt", b"abc")
    assert fingerprint(path) == ABC
    path.write_bytes(b"abd")  # at once: the clock may not have ticked
    assert fingerprint(path) != ABC
    path.write_bytes(b"abc")
    os.utime(path, (1, 1))
    assert fingerprint(path) == ABC
    time.sleep(0.05)
    path.write_bytes(b"abd")
    os.utime(path, (1, 1))  # as `cp -p` does
    assert fingerprint(path) != ABC


def test_the_fingerprint_of_a_kv_includes_the_files_beside_it(tmp_path, own_cache):
    path = write(tmp_path / "x.kv", b"a")
    write(tmp_path / "x.kv.vectors.npy", b"bc")
    assert fingerprint(path) == ABC


# === Subsets ===


def random_set(path, words, dim=5):
    """Writes words with float32 of every exponent, as word2vec binary."""
    bits = np.random.default_rng(0).integers(0, 2**32, (len(words), dim), np.uint32)
    bits &= ~np.uint32(1 << 30)  # finite
    rows = (
        word.encode() + b" " + row.tobytes()
        for word, row in zip(words, bits.view(np.float32), strict=True)
    )
    return write(path, b"%d %d\n" % (len(words), dim) + b"".join(rows))


WORDS = [f"w{n}" for n in range(2000)] + ["film", "Paris", "well", "made", "xyz", "<unk>", "(", "é"]


def test_a_subset_has_the_words_needed(tmp_path):
    path = random_set(tmp_path / "full.bin", WORDS)
    out = tmp_path / "new" / "part.txt.gz"
    tokens = ["paris", "well-made", "é", "absent"]
    written = write_subset(path, tokens, out, most_frequent=3)
    expected = ("w0", "w1", "w2", "Paris", "well", "made", "<unk>", "é")
    read, full = read_vectors(out), read_vectors(path)
    assert read.words == written.words == expected
    rows = [full.index[word] for word in expected]
    assert read.vectors.tobytes() == full.vectors[rows].tobytes()
    first = out.read_bytes()
    write_subset(path, tokens, out, most_frequent=3)
    assert out.read_bytes() == first and first[4:8] == bytes(4)  # no time
    assert [file.name for file in out.parent.iterdir()] == ["part.txt.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("most_frequent", [0, 100])
def test_runs_on_a_subset_are_the_same(tmp_path, own_cache, most_frequent):
    path = random_set(tmp_path / "full.bin", WORDS, dim=20)
    write_subset(path, ["FILM", "film", "paris", "Xyz", "w1500"], tmp_path / "part.txt", 100)
    used = ["film", "paris", "w1500", "absent"]
    full, part = (
        load_vectors(tmp_path / name, used, most_frequent) for name in ("full.bin", "part.txt")
    )
    assert full.words == part.words and full.vectors.tobytes() == part.vectors.tobytes()
    matrices = [embedding_matrix(["<pad>", "<unk>", *used], each, 1) for each in (full, part)]
    assert matrices[0].tobytes() == matrices[1].tobytes()


def test_a_subset_can_be_rounded(tmp_path):
    path = write(tmp_path / "x.txt", b"film 0.12345 -1\nbad 0.0004 7.5\n")
    written = write_subset(path, ["film"], tmp_path / "part.txt", 1, decimals=3)
    assert (tmp_path / "part.txt").read_bytes() == b"1 2\nfilm 0.123 -1.0\n"
    assert written.vectors.tolist() == read_vectors(tmp_path / "part.txt").vectors.tolist()
    assert not (tmp_path / "part.json").exists()  # it was not trained here


def test_a_subset_of_vectors_that_were_trained_here_says_so(tmp_path):
    path, out = write(tmp_path / "x.txt", b"film 1\nbad 3\n"), tmp_path / "x.sst5.txt"
    facts = {"file": "x.txt", "fingerprint": fingerprint(path), "corpus": {"name": "films"}}
    sets.facts_file(path).write_text(json.dumps(facts | {"words": 2}))
    write_subset(path, ["film"], out, 0)
    found = sets.training_facts(out)
    assert found["corpus"] == {"name": "films"} and found["words"] == 1
    assert sets.fingerprints(path) == (fingerprint(path),)
    assert sets.fingerprints(out) == (fingerprint(out), fingerprint(path))
    out.write_bytes(b"film 2\n")
    assert sets.fingerprints(out) == (fingerprint(out),)  # it is a subset no more


def test_a_subset_has_plain_words(tmp_path):
    path = write(tmp_path / "x.txt", b"/c/de/film 1\n/c/en/film 2\n/c/en/bad 3\n")
    write_subset(path, ["film"], tmp_path / "part.txt", 0, "/c/en/{word}")
    assert (tmp_path / "part.txt").read_bytes() == b"1 1\nfilm 2.0\n"
    assert nearest(path, ["film"], key_pattern="/c/en/{word}")["film"][0][0] == "bad"
    described = describe(path, "/c/en/{word}")
    assert (described["first_words"], described["other_keys"]) == (["film", "bad"], 1)


def test_a_subset_replaces_no_other_file(tmp_path):
    path, out = write(tmp_path / "x.txt", b"film 1\nbad 3\n"), write(tmp_path / "y.txt", b"mine\n")
    with pytest.raises(UsageError, match=r"y\.txt' exists already") as caught:
        write_subset(path, ["film"], out, 0)
    assert caught.value.setting == "out" and out.read_bytes() == b"mine\n"
    for overwrite in (True, False):  # the same again is no change
        write_subset(path, ["film"], out, 0, overwrite=overwrite)
        assert out.read_bytes() == b"1 1\nfilm 1.0\n"
    for overwrite in (True, False):  # its facts would be another file of the user's
        write(tmp_path / "z.json", b"mine")
        with pytest.raises(UsageError, match=r"z\.json' is in the way"):
            write_subset(path, ["film"], tmp_path / "z.txt", 0, overwrite=overwrite)
        assert (tmp_path / "z.json").read_bytes() == b"mine"


def test_a_subset_replaces_its_earlier_version_but_no_trained_set(tmp_path):
    path, out = write(tmp_path / "x.txt", b"film 1\nbad 3\n"), tmp_path / "y.txt"
    facts = {"file": "x.txt", "fingerprint": fingerprint(path), "corpus": {"name": "films"}}
    sets.facts_file(path).write_text(json.dumps(facts))
    for words in (["film"], ["bad"]):
        write_subset(path, words, out, 0)
        assert list(read_vectors(out).words) == words
    with pytest.raises(UsageError, match=r"x\.txt' exists already"):
        write_subset(out, ["bad"], path, 0)


def test_where_a_subset_cannot_be_written(tmp_path):
    path = random_set(tmp_path / "full.txt.gz", WORDS)
    for name in ("part.bin", "part.kv", "part.zip", "part", "full.txt.gz"):
        with pytest.raises(UsageError) as error:
            write_subset(path, (), tmp_path / name, 1)
        assert error.value.setting == "out"


def test_words_that_text_cannot_hold(tmp_path):
    keyed = KeyedVectors(2)
    keyed.add_vectors(["film", "a "], np.eye(2, dtype=np.float32))
    keyed.save(str(tmp_path / "x.kv"))
    with pytest.raises(InputError, match="x.kv.*'a '"):
        write_subset(tmp_path / "x.kv", (), tmp_path / "out.txt", 2)
    assert not (tmp_path / "out.txt").exists()


# === Describing ===


def test_zeros_have_no_neighbours(tmp_path):
    path = write(tmp_path / "x.txt", b"zero 0 0\nfilm 1 1\nmovie 2 2\n")
    ((word, cosine),) = nearest(path, ["film"])["film"]
    assert word == "movie" and cosine == pytest.approx(1)
    with pytest.raises(UsageError, match="only zeros, for 'zero'"):
        nearest(path, ["zero"])


def test_neighbours_and_description(folder):
    path = find_vectors("many", folder)
    assert nearest(path, ["Film"], 1)["Film"][0][0] == "good"
    with pytest.raises(UsageError, match="'xyz'"):
        nearest(path, ["xyz"])
    described = describe(path)
    assert (described["words"], described["dim"]) == (2, 2)
    assert (described["first_words"], described["format"]) == (["film", "good"], "text")


# === Real data ===


def test_the_real_vectors(real_data):
    text = find_vectors("googlenews.300d.sst.txt.gz", real_data)
    packed = find_vectors("googlenews.300d.sst.bin.gz", real_data)
    wanted = {"good", "terrible", "Paris"}
    one, two = read_vectors(text, wanted), read_vectors(packed, wanted)
    assert one.words == two.words and one.dim == 300
    np.testing.assert_allclose(one.vectors, two.vectors, atol=1e-6)


@pytest.mark.slow
def test_coverage_of_the_real_treebank(real_data, own_cache):
    counts = {
        split: Counter(
            token
            for tree in read_trees(real_data / "sst" / f"{split}.txt")
            for token in tree.root_example().tokens
        )
        for split in ("train", "dev", "test")
    }
    name = choose_vectors(counts, real_data)
    assert name == "glove.6B.50d.sst"
    vectors = load_vectors(find_vectors(name, real_data), set().union(*counts.values()))
    train = measure_coverage(counts, vectors).splits["train"]
    assert (train["types"], train["tokens"]) == (18_280, 163_563)
    # 99.14 % in lower case, and 99.75 % with compounds of which every piece has a vector.
    assert train["exact"] + train["casing"] == pytest.approx(0.9914, abs=1e-4)
    assert 0.9975 <= train["tokens_found"] < 0.998
