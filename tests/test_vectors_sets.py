import gzip
import os
import time
import urllib.error
import zipfile
from collections import Counter

import numpy as np
import pytest

from sst_keras import embeddings, locations
from sst_keras.errors import InputError, UsageError
from sst_keras.treebank import read_trees
from sst_keras.vectors.sets import (
    WordVectors,
    available_vectors,
    choose_vectors,
    describe,
    embedding_matrix,
    fetch_vectors,
    find_vectors,
    fingerprint,
    forms,
    has_vector,
    load_vectors,
    measure_coverage,
    nearest,
    pieces,
    read_vectors,
    wanted_words,
)

WORDS = ("the", ". . .", "film", "naïve")
VECTORS = np.array([[1, 2], [0.5, -0.25], [-3, 4e-3], [0, 1e10]], np.float32)


def text_of(header, space="", newline="\n"):
    rows = "".join(
        f"{word} {' '.join(map(repr, map(float, vector)))}{space}{newline}"
        for word, vector in zip(WORDS, VECTORS, strict=True)
    )
    return ((f"4 2{newline}" if header else "") + rows).encode()


def binary(newline=b"\n"):
    rows = (
        word.encode() + b" " + vector.tobytes() + newline
        for word, vector in zip(WORDS[::2], VECTORS[::2], strict=True)
    )
    return b"2 2\n" + b"".join(rows)


def write(path, content):
    if path.suffix == ".gz":
        content = gzip.compress(content)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("vectors.txt", content)
    else:
        path.write_bytes(content)
    return path


def check(read, words=WORDS, vectors=VECTORS):
    assert read.words == words
    np.testing.assert_array_equal(read.vectors, vectors)
    assert read.vectors.dtype == np.float32


# === Reading ===


@pytest.mark.parametrize("ending", [".txt", ".txt.gz", ".zip", ".vec"])
@pytest.mark.parametrize(
    "content",
    [text_of(True), text_of(False), text_of(True, space=" "), text_of(False, newline="\r\n")],
    ids=["word2vec", "glove", "trailing space", "carriage return"],
)
def test_text(tmp_path, ending, content):
    read = read_vectors(write(tmp_path / f"mine{ending}", content))
    check(read)
    assert (read.name, read.words_in_file) == ("mine", 4)


@pytest.mark.parametrize("ending", [".bin", ".bin.gz", ".gz", ".zip", ".txt"])
@pytest.mark.parametrize("newline", [b"", b"\n"])
def test_binary(tmp_path, ending, newline):
    read = read_vectors(write(tmp_path / f"mine{ending}", binary(newline)))
    check(read, WORDS[::2], VECTORS[::2])


def test_binary_in_many_blocks(tmp_path, monkeypatch):
    random = np.random.default_rng(0).normal(size=(500, 7)).astype("<f4")
    rows = b"".join(b"w%d " % n + row.tobytes() + b"\n" for n, row in enumerate(random))
    path = write(tmp_path / "mine.bin", b"500 7\n" + rows)
    monkeypatch.setattr(embeddings, "_BLOCK", 97)
    read = read_vectors(path)
    check(read, tuple(f"w{n}" for n in range(500)), random)


@pytest.mark.parametrize("name", ["word2vec-x.gz", "word2vec-x.zip", "word2vec-x"])
def test_binary_whose_name_does_not_say_so(tmp_path, name):
    # As the downloader's word2vec-google-news-300.gz.
    check(read_vectors(write(tmp_path / name, binary())), WORDS[::2], VECTORS[::2])


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path):
    check(read_vectors(write(tmp_path / "x.txt", b"\xef\xbb\xbf" + text_of(True))))


def test_the_text_of_a_zip_among_other_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("LICENSE", "Public domain.")
        archive.writestr("__MACOSX/._x.txt", "no vectors")
        archive.writestr("x.txt", text_of(True))
    check(read_vectors(tmp_path / "x.zip"))


def test_gensims_own_format_both_ways(tmp_path):
    keyed = WordVectors(WORDS, VECTORS).to_keyed_vectors()
    keyed.save(str(tmp_path / "mine.kv"))
    check(read_vectors(tmp_path / "mine.kv"))
    check(WordVectors.from_keyed_vectors(keyed))
    check(read_vectors(tmp_path / "mine.kv", {"film"}, 1), ("the", "film"), VECTORS[[0, 2]])


def test_gensim_reads_what_we_read(tmp_path):
    from gensim.models import KeyedVectors

    keyed = KeyedVectors.load_word2vec_format(write(tmp_path / "x.bin", binary()), binary=True)
    check(WordVectors.from_keyed_vectors(keyed), WORDS[::2], VECTORS[::2])


@pytest.mark.parametrize("name", ["x.txt", "x.bin"])
def test_only_what_is_wanted(tmp_path, name):
    path = write(tmp_path / name, binary() if name == "x.bin" else text_of(True))
    check(read_vectors(path, {"film", "absent"}), ("film",), VECTORS[[2]])
    check(read_vectors(path, (), most_frequent=1), ("the",), VECTORS[[0]])
    nothing = read_vectors(path, {"absent"})
    assert nothing.words == () and nothing.vectors.shape == (0, 2)


def test_tabs_between_the_fields(tmp_path):
    check(
        read_vectors(write(tmp_path / "x.txt", b"a\t1\t2\nb\t3\t4\n")), ("a", "b"), [[1, 2], [3, 4]]
    )


def test_of_a_word_that_stands_twice_the_first_counts(tmp_path):
    read = read_vectors(write(tmp_path / "x.txt", b"a 1 2\nb 5 6\na 3 4\n"))
    check(read, ("a", "b"), [[1, 2], [5, 6]])
    assert (read.repeated, read.words_in_file) == (1, 3)
    row = np.float32([1, 2]).tobytes()
    read = read_vectors(write(tmp_path / "x.bin", b"2 2\na " + row + b"a " + 2 * row[4:]))
    check(read, ("a",), [[1, 2]])
    assert read.repeated == 1


@pytest.mark.parametrize("name", ["x.txt", "x.bin"])
def test_words_that_are_not_utf_8_are_counted(tmp_path, name):
    words = (b"caf\xe9", b"film", "café".encode())
    row = np.float32([1]).tobytes() if name == "x.bin" else b"1\n"
    path = write(tmp_path / name, b"3 1\n" + b"".join(word + b" " + row for word in words))
    check(read_vectors(path), ("caf\ufffd", "film", "café"), [[1], [1], [1]])
    # Those that are not kept, too.
    assert read_vectors(path, {"film"}).undecodable == 1
    assert describe(path)["not_utf8"] == 1


SIX = b"".join(b"w%d 1 2 3\n" % number for number in range(6))


@pytest.mark.parametrize("wanted", [None, {"w1"}], ids=["all", "others are wanted"])
@pytest.mark.parametrize(
    ("row", "received"),
    [
        (b"seven 1 2\n", "Received 2"),
        (b"seven 1 two 3\n", "no finite numbers"),
        (b"seven\n", "Received 0"),
        (b"\n", "Received 0"),
        (b" 1 2 3\n", "Received 2"),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, received, wanted):
    path = write(tmp_path / "x.txt", SIX + row)
    with pytest.raises(InputError, match=r"x\.txt, line 7: expected a word and 3 numbers") as error:
        read_vectors(path, wanted)
    assert received in str(error.value)


def test_a_wrong_row_after_a_header(tmp_path):
    path = write(tmp_path / "x.txt", b"7 3\n" + SIX + b"seven 1 2\n")
    with pytest.raises(InputError, match="line 8"):
        read_vectors(path)


@pytest.mark.parametrize("number", [b"nan", b"inf", b"1e999", b"--", b"1e"])
def test_numbers_that_are_none(tmp_path, number):
    with pytest.raises(InputError, match="line 2"):
        read_vectors(write(tmp_path / "x.txt", b"a 1 2\nb 1 " + number + b"\n"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", "line 1"),
        ("x.txt", b"word\n", "line 1"),
        ("x.txt", b"3 2\na 1 2\nb 1 2\n", "expected 3 words.*Received 2"),
        ("x.bin", b"", "word2vec binary"),
        ("x.bin", b"the film is good", "word2vec binary"),
        ("x.bin", b"2 0\na b ", "word2vec binary"),
        ("x.bin", binary()[:-6], "within word 2"),
        ("x.bin", binary() + b"more", "expected 2 words.*Received more"),
        ("x.bin", b"1 1\na " + np.float32(np.nan).tobytes(), "finite"),
        ("x.kv", b"no pickle", "KeyedVectors"),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        read_vectors(write(tmp_path / name, content))


def test_damaged_compression(tmp_path):
    whole = write(tmp_path / "x.txt.gz", text_of(True) * 100).read_bytes()
    for content in (whole[:-20], b"not gzip"):
        (tmp_path / "x.txt.gz").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.txt\.gz"):
            read_vectors(tmp_path / "x.txt.gz")
    (tmp_path / "x.zip").write_bytes(b"not zip")
    with pytest.raises(InputError, match=r"x\.zip"):
        read_vectors(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "")
        archive.writestr("b.txt", "")
    with pytest.raises(InputError, match="Received 2: a.txt, b.txt"):
        read_vectors(tmp_path / "x.zip")


def test_binary_rows_that_are_not_kept_are_checked(tmp_path):
    rows = b"a " + np.float32(1).tobytes() + b"b " + np.float32(np.inf).tobytes()
    with pytest.raises(InputError, match=r"word 2 \('b'\)"):
        read_vectors(write(tmp_path / "x.bin", b"2 1\n" + rows), {"a"})


def test_binary_without_an_end_of_a_word_is_not_read_on(tmp_path, monkeypatch):
    # A download that broke off may leave zeros for the rest of gigabytes.
    monkeypatch.setattr(embeddings, "_BLOCK", 64)
    monkeypatch.setattr(embeddings, "_LONGEST", 32)
    path = write(tmp_path / "x.bin", binary().replace(b"2 2", b"3 2") + bytes(1000) + b" " * 9)
    with pytest.raises(InputError, match="within word 3"):
        read_vectors(path)


# === Words → vectors ===


def test_forms_in_their_order():
    assert forms("film") == ("film", "Film", "FILM")
    assert forms("iPod") == ("iPod", "ipod", "Ipod", "IPOD")
    assert forms("(")[1:] == ("-lrb-", "-LRB-")
    assert forms("...") == ("...",)


def test_pieces_of_compounds():
    assert pieces("well-made") == ["well", "made"]
    assert pieces("and/or") == ["and", "or"]
    assert pieces("--") == pieces("-") == pieces("film") == []
    assert {"well", "Well", "<unk>", "WELL-MADE"} <= wanted_words(["well-made"])


SET = WordVectors(
    ("film", "Paris", "well", "made"), np.array([[1, 0], [0, 1], [2, 2], [4, 6]], np.float32), "set"
)


def test_the_matrix_of_a_vocabulary():
    tokens = ("<pad>", "<unk>", "film", "paris", "well-made", "well-xyz", "xyz")
    matrix = embedding_matrix(tokens, SET, seed=1)
    assert matrix.shape == (7, 2) and matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix[[0, 2, 3, 4, 5]], [[0, 0], [1, 0], [0, 1], [3, 4], [2, 2]])
    np.testing.assert_array_equal(matrix, embedding_matrix(tokens, SET, seed=1))
    other = embedding_matrix(tokens, SET, seed=2)
    assert (matrix[[1, 6]] != other[[1, 6]]).all()
    expected = [True, True, True, True, False]
    assert has_vector(tokens[2:], SET).tolist() == expected


def test_random_rows_vary_as_the_vectors_do():
    random = np.random.default_rng(0)
    vectors = WordVectors(("a", "b"), np.array([[0, 10], [0.2, -10]], np.float32))
    tokens = ["<pad>", "<unk>", *(f"w{n}" for n in range(5000))]
    matrix = embedding_matrix(tokens, vectors, seed=int(random.integers(100)))
    np.testing.assert_allclose(matrix[1:].std(axis=0), [0.1, 10], rtol=0.03)


def test_the_files_own_unknown_vector_is_taken():
    vectors = WordVectors(("<unk>", "a"), np.array([[7, 7], [1, 2]], np.float32))
    assert embedding_matrix(("<pad>", "<unk>"), vectors, 1)[1].tolist() == [7, 7]
    vectors = WordVectors(("UNK", "a"), vectors.vectors)
    assert embedding_matrix(("<pad>", "<unk>"), vectors, 1)[1].tolist() == [7, 7]
    assert {"<unk>", "UNK"} <= wanted_words(())


def test_a_random_row_depends_on_its_place_alone():
    few = embedding_matrix(("<pad>", "<unk>", "xyz", "film"), SET, seed=3)
    more = embedding_matrix(("<pad>", "<unk>", "zyx", "paris", "yyy"), SET, seed=3)
    np.testing.assert_array_equal(few[2], more[2])
    assert (few[2] != more[4]).all()


def test_coverage_by_hand():
    counts = {
        "train": {"film": 6, "paris": 2, "well-made": 1, "xyz": 1},
        "dev": {"xyz": 3, "film": 1},
        "test": {},
    }
    coverage = measure_coverage(counts, SET)
    train = coverage.splits["train"]
    assert (train["types"], train["tokens"]) == (4, 10)
    assert (train["types_found"], train["tokens_found"]) == pytest.approx((0.75, 0.9))
    shares = [train[how] for how in ("exact", "casing", "pieces", "missing")]
    assert shares == pytest.approx([0.6, 0.2, 0.1, 0.1])
    assert coverage.splits["dev"]["tokens_found"] == pytest.approx(0.25)
    assert coverage.splits["test"]["tokens"] == 0
    assert coverage.tokens_found == pytest.approx(10 / 14)
    assert coverage.missing == (("xyz", 4),)
    assert "90.0% of 10 tokens" in str(coverage) and "xyz (4)" in str(coverage)


# === Cache ===


def cached_files():
    return sorted((locations.cache_dir() / "vectors-cache").glob("*.npz"))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_cache_gives_the_same(tmp_path, own_cache, monkeypatch):
    path = write(tmp_path / "x.txt", text_of(True))
    first = load_vectors(path, ["film", "Naïve"], 1)
    check(first, ("the", "film", "naïve"), VECTORS[[0, 2, 3]])
    monkeypatch.setattr(embeddings, "read_vectors", None)  # would fail if it were called
    again = load_vectors(path, ["Naïve", "film"], 1)
    check(again, first.words, first.vectors)
    assert again.words_in_file == first.words_in_file == 4


def test_the_cache_goes_by_content(tmp_path, own_cache):
    path = write(tmp_path / "x.txt", b"film 1 2\n")
    assert load_vectors(path, ["film"]).vectors.tolist() == [[1, 2]]
    path.write_bytes(b"film 3 4\n")
    assert load_vectors(path, ["film"]).vectors.tolist() == [[3, 4]]
    assert load_vectors(path, ["film", "other"]).vectors.tolist() == [[3, 4]]
    assert len(cached_files()) == 3
    copy = write(tmp_path / "copy.txt", b"film 3 4\n")
    assert load_vectors(copy, ["film"]).name == "copy"
    assert len(cached_files()) == 3


def test_a_damaged_cache_is_made_again(tmp_path, own_cache):
    path = write(tmp_path / "x.txt", text_of(False))
    load_vectors(path, ["film"])
    for content in (b"", b"PK\x03\x04 half", cached_files()[0].read_bytes()[:-30]):
        cached_files()[0].write_bytes(content)
        assert load_vectors(path, ["film"]).words == ("film",)


ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # sha256 of "abc"


def test_a_fingerprint_is_kept(tmp_path, own_cache, monkeypatch):
    path = write(tmp_path / "x.txt", b"abc")
    os.utime(path, (1, 1))
    assert fingerprint(path) == ABC
    monkeypatch.setattr(embeddings, "_sha256", None)  # would fail if it were called
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


# === Finding ===


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vectors").mkdir()
    write(tmp_path / "vectors" / "few.txt.gz", b"film 1 2\n")
    write(tmp_path / "vectors" / "many.txt", b"film 1 2\ngood 3 4\n")
    write(tmp_path / "vectors" / "many.bin", binary())
    return tmp_path


def test_names(folder):
    assert list(available_vectors(folder)) == ["few", "many"]
    assert find_vectors("few", folder).name == "few.txt.gz"
    assert find_vectors("many", folder).name == "many.txt"
    assert find_vectors("many.bin", folder).name == "many.bin"
    path = folder / "vectors" / "many.txt"
    assert find_vectors(path) == path
    assert find_vectors("sample") == locations.bundled("sample") / "vectors.txt"
    with pytest.raises(UsageError, match="did you mean 'many'.*sample, few, many.*fetch"):
        find_vectors("mny", folder)


def test_sets_that_the_downloader_has_are_found(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("GENSIM_DATA_DIR", str(tmp_path / "gensim-data"))
    (tmp_path / "gensim-data" / "glove-x").mkdir(parents=True)
    write(tmp_path / "gensim-data" / "glove-x" / "glove-x.gz", text_of(True))
    check(read_vectors(find_vectors("glove-x")))
    assert fetch_vectors("glove-x", probe=None).name == "glove-x.gz"


def test_a_download_that_breaks_off(monkeypatch):
    import gensim.downloader

    def broken(*_, **__):
        raise urllib.error.URLError("connection reset")

    monkeypatch.setattr(gensim.downloader, "info", broken)
    with pytest.raises(InputError, match="glove-x: the download broke off.*connection reset"):
        fetch_vectors("glove-x", probe=lambda address: True)
    monkeypatch.setattr(gensim.downloader, "info", lambda name_only: {"models": ["glove-x"]})
    with pytest.raises(UsageError, match="'glove-y'. Expected one of glove-x"):
        fetch_vectors("glove-y", probe=lambda address: True)


def test_zeros_are_nobodys_neighbours(tmp_path):
    path = write(tmp_path / "x.txt", b"zero 0 0\nfilm 1 1\nmovie 2 2\n")
    ((word, cosine),) = nearest(path, ["film"])["film"]
    assert word == "movie" and cosine == pytest.approx(1)
    with pytest.raises(UsageError, match="only zeros, for 'zero'"):
        nearest(path, ["zero"])


def test_the_set_with_most_of_the_words(folder):
    assert choose_vectors({"train": {"film": 1, "good": 1}}, folder)[0] == "many"
    # Equal coverage and width: the first by name.
    assert choose_vectors({"train": {"film": 1}}, folder)[0] == "few"
    assert choose_vectors({"train": {"film": 1}}) is None


def test_a_file_of_another_kind_is_left_out_and_told(folder, monkeypatch):
    told = []
    monkeypatch.setattr(embeddings.log, "warning", told.append)
    (folder / "vectors" / "README.txt").write_text("What lies here, and whence.\nMore.\n")
    assert choose_vectors({"train": {"film": 1, "good": 1}}, folder)[0] == "many"
    assert len(told) == 1 and "README.txt" in told[0]
    # Equal coverage: the wider set.
    write(folder / "vectors" / "wide.txt", b"film 1 2 3\n")
    assert choose_vectors({"train": {"film": 1}}, folder)[0] == "wide"


def test_neighbours_and_description(folder):
    path = find_vectors("many", folder)
    assert nearest(path, ["Film"], 1)["Film"][0][0] == "good"
    with pytest.raises(UsageError, match="'xyz'"):
        nearest(path, ["xyz"])
    described = describe(path)
    assert (described["words"], described["dim"]) == (2, 2)
    assert (described["first_words"], described["format"]) == (["film", "good"], "text")


def test_the_real_vectors(real_data, tmp_path, own_cache):
    text = find_vectors("googlenews.300d.sst.txt.gz", real_data)
    packed = find_vectors("googlenews.300d.sst.bin.gz", real_data)
    wanted = {"good", "terrible", "Paris"}
    one, two = read_vectors(text, wanted), read_vectors(packed, wanted)
    assert one.words == two.words and one.dim == 300
    np.testing.assert_allclose(one.vectors, two.vectors, atol=1e-6)


def test_coverage_of_the_real_treebank(real_data, own_cache):
    counts = {
        split: Counter(
            token
            for tree in read_trees(real_data / "sst" / f"{split}.txt")
            for token in tree.root_example().tokens
        )
        for split in ("train", "dev", "test")
    }
    name, path = choose_vectors(counts, real_data)
    assert name == "glove.6B.50d.sst"
    vectors = load_vectors(path, set().union(*counts.values()))
    train = measure_coverage(counts, vectors).splits["train"]
    assert (train["types"], train["tokens"]) == (18_280, 163_563)
    # 99.14 % in lower case, and 99.75 % with compounds of which every piece has a vector.
    assert train["exact"] + train["casing"] == pytest.approx(0.9914, abs=1e-4)
    assert 0.9975 <= train["tokens_found"] < 0.998
