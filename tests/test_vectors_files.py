import gzip
import zipfile

import numpy as np
import pytest
from gensim.models import Doc2Vec, FastText, KeyedVectors, LsiModel, Word2Vec
from gensim.models.doc2vec import TaggedDocument
from gensim.models.fasttext import save_facebook_model

from sst_keras.errors import InputError, UsageError
from sst_keras.vectors import archives, files
from sst_keras.vectors.files import file_format, read_keys, read_vectors
from sst_keras.vectors.sets import describe, fingerprint

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
        (b"1 2 3\n", 3),
        (b" 1 2\n", 2),
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
        archive.writestr("b.txt", "more")
    with pytest.raises(InputError, match=r"Received 2: a.txt, b.txt. .* such as .*x\.zip/b\.txt"):
        read_vectors(tmp_path / "x.zip")


@pytest.mark.parametrize(
    ("place", "byte"),
    [(6, 250), (8, 1), (10, 99), (28, 0), (46, 0xFF)],
    ids=["version", "password", "method", "no name", "name"],
)
def test_a_damaged_directory_of_a_zip(tmp_path, place, byte):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", text_of(True))
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\x01\x02")
    content[start + 9] |= 8  # names are UTF-8
    content[start + place] = byte
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.zip"):
        read_vectors(path)
    with pytest.raises(InputError, match=r"x\.zip"):
        assert not archives.is_file(path / "a.txt") or archives.open_file(path / "a.txt")


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_of_a_zip(tmp_path, kind):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("a.txt", text_of(True) * 100)
    content = bytearray(path.read_bytes())
    content[50:60] = b"\xff" * 10
    path.write_bytes(content)
    for read in (read_vectors, fingerprint):
        with pytest.raises(InputError, match=r"x\.zip/a\.txt: expected an intact packed file"):
            read(path / "a.txt")


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


# === Columns ===


@pytest.mark.parametrize(
    "content",
    [
        "a,1,2\nb,3,4\n",
        "a, 1, 2\r\nb, 3, 4\r\n",
        "a,1,2,\nb,3,4,\n",
        "word,dim1,dim2\na,1,2\nb,3,4\n",
        ",0,1\na,1,2\nb,3,4\n",
        'token,1,2\n"a","1","2"\n"b","3","4"\n',
        "2 2\na,1,2\nb,3,4\n",
        "\ufeffword;x;y\na;1,0;2,0\nb;3,0;4,0\n",
        "a;1;2\nb;3;4\n",
        "a;1,0;2,0\nb;3,0;4,0\n",
        "2, 2\na, 1, 2\nb, 3, 4\n",
        "word\td0\td1\na\t1\t2\nb\t3\t4\n",
        "\ta\tb\na\t1\t2\nb\t3\t4\n",
        "a\t1 2\nb\t3 4\n",
        "word x y\na 1 2\nb 3 4\n",
        "a  1   2\nb 3  4\n",
        "  a 1 2\n  b 3 4\n",
    ],
)
def test_shapes_of_columns(tmp_path, content):
    read = read_vectors(write(tmp_path / "x.csv", content.encode()))
    check(read, ("a", "b"), [[1, 2], [3, 4]])
    assert (read.name, read.words_in_file) == ("x", 2)


def test_words_of_a_table_may_have_its_separator_and_quotes(tmp_path):
    content = b'the,0.5,1\n",",2,3\n,,4,5\n"""",6,7\n1,000,8,9\n'
    read = read_vectors(write(tmp_path / "x.csv", content))
    assert read.words == ("the", ",", '"', "1,000")
    assert read.vectors.tolist() == [[0.5, 1], [2, 3], [6, 7], [8, 9]]
    # In a text with spaces, a comma is a word like any other.
    check(read_vectors(write(tmp_path / "x.txt", b", 1 2\n; 3 4\n")), (",", ";"), [[1, 2], [3, 4]])


@pytest.mark.parametrize("row", [b"c,5\n", b"c,5,\n", b"c,,5\n", b"c,five,6\n", b"c,5,nan\n"])
def test_a_wrong_row_of_a_table_is_named(tmp_path, row):
    with pytest.raises(InputError, match="row 3"):
        read_vectors(write(tmp_path / "x.csv", b"a,1,2\nb,3,4\n" + row))


def test_a_row_of_whole_numbers_is_no_row_of_names(tmp_path):
    read = read_vectors(write(tmp_path / "x.txt", b"a 0 1\nb 3 4\n"))
    check(read, ("a", "b"), [[0, 1], [3, 4]])


def test_utf_16_and_models_of_fasttext_are_named(tmp_path):
    with pytest.raises(InputError, match="UTF-16"):
        read_vectors(write(tmp_path / "x.txt", "a 1 2\n".encode("utf-16")))
    model = FastText([["a", "b"]] * 5, vector_size=2, min_count=1)
    save_facebook_model(model, str(tmp_path / "x.bin"))
    with pytest.raises(InputError, match="fastText.*vec"):
        read_vectors(tmp_path / "x.bin")


# === Rows that are passed over ===


@pytest.mark.parametrize("header", [b"", b"4 2\n"], ids=["GloVe", "word2vec"])
@pytest.mark.parametrize("first", [0, 1, 2, 3])
@pytest.mark.parametrize("blank", [" ", "", "\t", "\u00a0"])
def test_blank_words_are_counted(tmp_path, header, first, blank):
    rows = [f"{word} 1 2\n" for word in ("a", "b", "c")]
    rows.insert(first, f"{blank} 0.5 -4\n")
    read = read_vectors(write(tmp_path / "x.txt", header + "".join(rows).encode()))
    check(read, ("a", "b", "c"), [[1, 2]] * 3)
    assert (read.words_in_file, read.blank, read.other_keys) == (4, 1, 0)
    # A blank word is none of the first words.
    assert read_vectors(tmp_path / "x.txt", (), most_frequent=3).words == ("a", "b", "c")


def test_blank_words_of_other_formats(tmp_path):
    save_kv(tmp_path / "x.kv", (" ", "a"), VECTORS[:2])
    read = read_vectors(tmp_path / "x.kv")
    assert (read.words, read.blank) == (("a",), 1)
    row = np.float32([1, 2]).tobytes()
    read = read_vectors(write(tmp_path / "x.bin", b"2 2\n " + row + b"a " + row))
    assert (read.words, read.blank) == (("a",), 1)
    read = read_vectors(write(tmp_path / "x.csv", b'" ",1,2\na,3,4\n'))
    assert (read.words, read.blank) == (("a",), 1)


PREFIXED = (
    b"6 1\n/c/de/film 1\n/c/en/the 2\n/c/en/film 3\n/c/en/film 4\n/c/en/ice_cream 5\nfilm 6\n"
)


def test_keys_of_a_pattern(tmp_path):
    path = write(tmp_path / "x.txt", PREFIXED)
    read = read_vectors(path, key_pattern="/c/en/{word}")
    check(read, ("the", "film", "ice_cream"), [[2], [3], [5]])
    assert (read.words_in_file, read.other_keys) == (6, 2)
    check(read_vectors(path, {"film"}, 1, "/c/en/{word}"), ("the", "film"), [[2], [3]])
    assert list(read_keys(path))[:2] == [b"/c/de/film", b"/c/en/the"]


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        ("{word}_{tag}", "film_NOUN"),
        ("{word}_{tag}", "film_NN"),
        ("{word}|{tag}", "film|NOUN"),
        ("{word}#{tag}", "film#n"),
        ("{word}.{tag}", "film.n.01"),
        ("/c/en/{word}/{tag}", "/c/en/film/n"),
        ("{tag}:{word}", "noun:film"),
        ("\u2581{word}", "\u2581film"),
    ],
)
def test_patterns(tmp_path, pattern, key):
    read = read_vectors(write(tmp_path / "x.txt", f"{key} 1 2\n".encode()), key_pattern=pattern)
    word = "film.n" if key == "film.n.01" else "film"  # the tag is the shortest one
    assert read.words == (word,)


@pytest.mark.parametrize("pattern", ["", "/c/en/", "{word}{word}", "{word}_{tag}_{tag}"])
def test_what_is_no_pattern(tmp_path, pattern):
    with pytest.raises(UsageError, match="{word}_{tag}") as error:
        read_vectors(write(tmp_path / "x.txt", b"a 1\n"), key_pattern=pattern)
    assert error.value.setting == "embedding.key_pattern"


# === Zips of several files ===


@pytest.fixture
def packed(tmp_path):
    with zipfile.ZipFile(tmp_path / "glove.zip", "w") as archive:
        archive.writestr("glove.50d.txt", "a 1 2\n")
        archive.writestr("more/glove.100d.txt.gz", gzip.compress(b"b 1 2 3\n"))
        archive.writestr("x.bin", binary())
    return tmp_path / "glove.zip"


def test_a_member_of_a_zip(packed):
    check(read_vectors(packed / "glove.50d.txt"), ("a",), [[1, 2]])
    read = read_vectors(packed / "more" / "glove.100d.txt.gz")
    check(read, ("b",), [[1, 2, 3]])
    assert read.name == "glove.100d"
    check(read_vectors(packed / "x.bin"), WORDS[::2], VECTORS[::2])


def test_a_member_that_is_not_in_the_zip(packed):
    with pytest.raises(UsageError, match=r"no 'glove' in the zip.*glove\.50d\.txt, more/"):
        read_vectors(packed / "glove")
    packed.write_bytes(b"not zip")
    with pytest.raises(InputError, match=r"glove\.zip: expected an intact packed file"):
        read_vectors(packed / "glove.50d.txt")


# === Gensim ===

TEXTS = [["good", "film", "good"], ["bad", "film"]] * 5


@pytest.mark.parametrize("name", ["x.model", "words.wv", "x.bin", "x.txt", "x"])
@pytest.mark.parametrize("kind", [Word2Vec, FastText, Doc2Vec])
@pytest.mark.parametrize("part", ["model", "wv"])
def test_what_gensim_saved_under_any_name(tmp_path, kind, part, name):
    texts = (
        [TaggedDocument(text, [n]) for n, text in enumerate(TEXTS)] if kind is Doc2Vec else TEXTS
    )
    model = kind(texts, vector_size=3, min_count=1, workers=1)
    (model if part == "model" else model.wv).save(str(tmp_path / name))
    assert file_format(tmp_path / name) == "gensim"
    check(read_vectors(tmp_path / name), tuple(model.wv.index_to_key), model.wv.vectors)


def test_large_arrays_that_gensim_saves_beside(tmp_path):
    model = Word2Vec(TEXTS, vector_size=3, min_count=1, workers=1)
    model.save(str(tmp_path / "x.model"), sep_limit=1)
    check(read_vectors(tmp_path / "x.model"), tuple(model.wv.index_to_key), model.wv.vectors)
    (tmp_path / "x.model.wv.vectors.npy").unlink()
    with pytest.raises(InputError, match=r"x\.model\.\*\.npy"):
        read_vectors(tmp_path / "x.model")


def test_gensims_models_without_word_vectors(tmp_path):
    LsiModel([[(0, 1.0), (1, 2.0)]], num_topics=1).save(str(tmp_path / "x.model"))
    with pytest.raises(InputError, match="it holds a LsiModel"):
        read_vectors(tmp_path / "x.model")
    (tmp_path / "y.model").write_bytes(b"\x80\x04\x95 no pickle")
    with pytest.raises(InputError, match="KeyedVectors"):
        read_vectors(tmp_path / "y.model")
