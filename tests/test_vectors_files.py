import gzip
import zipfile

import numpy as np
import pytest
from gensim.models import KeyedVectors

from sst_keras.errors import InputError
from sst_keras.vectors import files
from sst_keras.vectors.files import read_vectors
from sst_keras.vectors.sets import describe

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


def save_kv(path, words, vectors):
    keyed = KeyedVectors(vectors.shape[1])
    keyed.add_vectors(list(words), vectors)
    keyed.save(str(path))


def check(read, words=WORDS, vectors=VECTORS):
    assert read.words == words
    np.testing.assert_array_equal(read.vectors, vectors)
    assert read.vectors.dtype == np.float32


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
    monkeypatch.setattr(files, "_BLOCK", 97)
    read = read_vectors(path)
    check(read, tuple(f"w{n}" for n in range(500)), random)


@pytest.mark.parametrize("name", ["word2vec-x.gz", "word2vec-x.zip", "word2vec-x"])
def test_binary_whose_name_does_not_say_so(tmp_path, name):
    # Like the downloader's word2vec-google-news-300.gz.
    check(read_vectors(write(tmp_path / name, binary())), WORDS[::2], VECTORS[::2])


def test_a_byte_order_mark_is_skipped(tmp_path):
    check(read_vectors(write(tmp_path / "x.txt", b"\xef\xbb\xbf" + text_of(True))))


def test_the_text_of_a_zip_among_other_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("LICENSE", "Public domain.")
        archive.writestr("__MACOSX/._x.txt", "no vectors")
        archive.writestr("x.txt", text_of(True))
    check(read_vectors(tmp_path / "x.zip"))


def test_gensims_own_format(tmp_path):
    save_kv(tmp_path / "mine.kv", WORDS, VECTORS)
    check(read_vectors(tmp_path / "mine.kv"))
    check(read_vectors(tmp_path / "mine.kv", {"film"}, 1), ("the", "film"), VECTORS[[0, 2]])


def test_gensim_reads_what_we_read(tmp_path):
    keyed = KeyedVectors.load_word2vec_format(write(tmp_path / "x.bin", binary()), binary=True)
    assert keyed.index_to_key == list(WORDS[::2])
    np.testing.assert_array_equal(keyed.vectors, VECTORS[::2])


@pytest.mark.parametrize("name", ["x.txt", "x.bin"])
def test_only_what_is_wanted(tmp_path, name):
    path = write(tmp_path / name, binary() if name == "x.bin" else text_of(True))
    check(read_vectors(path, {"film", "absent"}), ("film",), VECTORS[[2]])
    check(read_vectors(path, (), most_frequent=1), ("the",), VECTORS[[0]])
    nothing = read_vectors(path, {"absent"})
    assert nothing.words == () and nothing.vectors.shape == (0, 2)


def test_tabs_between_fields(tmp_path):
    check(
        read_vectors(write(tmp_path / "x.txt", b"a\t1\t2\nb\t3\t4\n")), ("a", "b"), [[1, 2], [3, 4]]
    )


def test_the_first_row_of_a_repeated_word_is_kept(tmp_path):
    read = read_vectors(write(tmp_path / "x.txt", b"a 1 2\nb 5 6\na 3 4\n"))
    check(read, ("a", "b"), [[1, 2], [5, 6]])
    assert read.words_in_file == 3
    row = np.float32([1, 2]).tobytes()
    read = read_vectors(write(tmp_path / "x.bin", b"2 2\na " + row + b"a " + 2 * row[4:]))
    check(read, ("a",), [[1, 2]])


@pytest.mark.parametrize("name", ["x.txt", "x.bin"])
def test_words_that_are_not_utf_8_are_counted(tmp_path, name):
    words = (b"caf\xe9", b"film", "café".encode())
    row = np.float32([1]).tobytes() if name == "x.bin" else b"1\n"
    path = write(tmp_path / name, b"3 1\n" + b"".join(word + b" " + row for word in words))
    check(read_vectors(path), ("caf\ufffd", "film", "café"), [[1], [1], [1]])
    # Words that are not kept count too.
    assert read_vectors(path, {"film"}).undecodable == 1
    assert describe(path)["not_utf8"] == 1


SIX = b"".join(b"w%d 1 2 3\n" % number for number in range(6))


@pytest.mark.parametrize("wanted", [None, {"w1"}], ids=["all", "others are wanted"])
@pytest.mark.parametrize("header", [b"", b"7 3\n"], ids=["GloVe", "word2vec"])
@pytest.mark.parametrize(
    ("row", "fields"),
    [
        (b"seven 1 2\n", 3),
        (b"seven 1 two 3\n", 4),
        (b"seven\n", 1),
        (b"\n", 0),
        (b" 1 2 3\n", 3),
    ],
)
def test_a_wrong_row_is_named(tmp_path, row, fields, header, wanted):
    path = write(tmp_path / "x.txt", header + SIX + row)
    with pytest.raises(InputError, match=rf"x\.txt, row 7: .* 3 finite.*Received {fields} fields"):
        read_vectors(path, wanted)


@pytest.mark.parametrize("number", [b"nan", b"inf", b"1e999", b"--", b"1e"])
def test_what_is_not_a_finite_number(tmp_path, number):
    with pytest.raises(InputError, match="row 2"):
        read_vectors(write(tmp_path / "x.txt", b"a 1 2\nb 1 " + number + b"\n"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"", "line 1"),
        ("x.txt", b"word\n", "line 1"),
        ("x.txt", b"3 2\na 1 2\nb 1 2\n", "expected 3 words.*Received 2"),
        ("x.bin", b"", "line 1"),
        ("x.bin", b"the film is good", "line 1"),
        ("x.bin", b"2 0\na b ", "line 1"),
        ("x.bin", binary()[:-6], "row 2: "),
        ("x.bin", binary() + b"more", "row 3: .*'more'"),
        ("x.bin", binary().replace(b"2 2", b"1 2"), "expected 1 words.*Received 2"),
        ("x.bin", b"1 1\na " + np.float32(np.nan).tobytes(), "row 1"),
        ("x.kv", b"no pickle", "KeyedVectors"),
        ("x.kv.gz", b"no pickle", r"x\.kv\.gz"),
    ],
)
def test_damaged_files(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message):
        read_vectors(write(tmp_path / name, content))


@pytest.mark.parametrize("name", ["x.txt", "x.bin"])
@pytest.mark.parametrize("header", [b"2 100001", b"99999999999 2", b"2 99999999999", b"9" * 5000])
def test_a_first_line_that_claims_too_much(tmp_path, name, header):
    header = header if b" " in header else header + b" 2"
    with pytest.raises(InputError, match="line 1"):
        read_vectors(write(tmp_path / name, header + b"\na 1 2\nb 1 2\n"))


def test_a_word_with_a_line_break_is_refused(tmp_path):
    row = np.float32([1, 2]).tobytes()
    for number, word in enumerate((b"a\rb", b"a\nb")):
        content = b"2 2\nfilm " + row + word + b" " + row
        with pytest.raises(InputError, match="row 2"):
            read_vectors(write(tmp_path / f"{number}.bin", content), ())
    with pytest.raises(InputError, match="row 2"):
        read_vectors(write(tmp_path / "x.txt", b"film 1 2\na\rb 1 2\n"), ())
    save_kv(tmp_path / "x.kv", ("film", "a\nb"), VECTORS[:2])
    with pytest.raises(InputError, match="row 2"):
        read_vectors(tmp_path / "x.kv", ())


def test_damaged_compression(tmp_path):
    complete = write(tmp_path / "x.txt.gz", text_of(True) * 100).read_bytes()
    for content in (complete[:-20], b"not gzip"):
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
    with pytest.raises(InputError, match="row 2.*'b'"):
        read_vectors(write(tmp_path / "x.bin", b"2 1\n" + rows), {"a"})


def test_a_binary_word_without_an_end_is_not_read_on(tmp_path, monkeypatch):
    # A broken download may leave zeros for the rest of gigabytes.
    monkeypatch.setattr(files, "_BLOCK", 64)
    monkeypatch.setattr(files, "_LONGEST", 32)
    path = write(tmp_path / "x.bin", binary().replace(b"2 2", b"3 2") + bytes(1000) + b" " * 9)
    with pytest.raises(InputError, match="row 3"):
        read_vectors(path)
