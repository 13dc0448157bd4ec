"""What gensim saved is read without running code, whoever made it."""

import gzip
import os
import pickle
import pickletools

import numpy as np
import pytest
from gensim.models import FastText, KeyedVectors, Word2Vec

from sst_keras.errors import InputError
from sst_keras.vectors import pickles
from sst_keras.vectors.files import read_vectors
from sst_keras.vectors.pickles import read_keyed
from sst_keras.vectors.sets import choose_vectors

TEXTS = [["good", "film", "good"], ["bad", "film"]] * 5


class Runs:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def canary(tmp_path):
    return tmp_path / "canary"


def calls(canary):
    """Returns ways in which a pickle can make a file."""
    return {
        "system": Runs(os.system, f"touch {canary}"),
        "exec": Runs(exec, f"open({str(canary)!r}, 'w')"),
        "open": Runs(open, str(canary), "w"),
        "mkdir": Runs(os.mkdir, str(canary)),
        "numpy": Runs(np.save, str(canary), 1),
        "gensim": Runs(Word2Vec, [["a"]]),
        "getattr": Runs(getattr, str, "mro"),
    }


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("way", sorted(calls("")))
@pytest.mark.parametrize("place", ["whole", "words", "state"])
def test_a_pickle_that_runs_code(tmp_path, canary, way, place, protocol):
    evil = calls(canary)[way]
    saved = {"whole": evil, "words": [evil, "film"], "state": {"evil": evil}}[place]
    if place == "state":
        keyed = KeyedVectors(2)
        keyed.add_vectors(["film"], np.ones((1, 2), np.float32))
        keyed.evil, saved = evil, keyed
    path = tmp_path / "x.kv"
    path.write_bytes(pickle.dumps(saved, protocol))
    if place == "state":
        assert read_keyed(path)[0] == ["film"]
    else:
        with pytest.raises(InputError, match=r"x\.kv: expected gensim's KeyedVectors"):
            read_vectors(path)
    assert not canary.exists()


def test_no_code_runs_of_a_set_that_lies_among_the_vectors(tmp_path, canary):
    (tmp_path / "vectors").mkdir()
    for name in ("x.kv", "y.txt"):
        evil = pickle.dumps(calls(canary)["open"])
        (tmp_path / "vectors" / name).write_bytes(evil)
    assert choose_vectors({"train": {"film": 1}}, tmp_path) is None
    assert not canary.exists()


def test_no_code_runs_of_files_beside(tmp_path, canary):
    keyed = KeyedVectors(2)
    keyed.add_vectors(["film"], np.ones((1, 2), np.float32))
    keyed.__dict__["__scipys"] = ["evil"]
    (tmp_path / "x.kv").write_bytes(pickle.dumps(keyed))
    (tmp_path / "x.kv.evil.npy").write_bytes(pickle.dumps(calls(canary)["open"]))
    assert read_keyed(tmp_path / "x.kv")[0] == ["film"]
    keyed.__dict__["__numpys"] = ["vectors"]
    (tmp_path / "x.kv").write_bytes(pickle.dumps(keyed))
    np.save(tmp_path / "x.kv.vectors.npy", np.array([calls(canary)["open"]]), allow_pickle=True)
    with pytest.raises(InputError, match="Python objects in dtype"):
        read_vectors(tmp_path / "x.kv")
    keyed.__dict__["__numpys"] = ["../other", "vectors"] * 10_000  # each is read once, or not
    (tmp_path / "x.kv").write_bytes(pickle.dumps(keyed))
    np.save(tmp_path / "x.kv.vectors.npy", np.ones((1, 2), np.float32))
    assert read_keyed(tmp_path / "x.kv")[0] == ["film"]
    assert not canary.exists()


@pytest.mark.parametrize("limit", [1, 10**9])
@pytest.mark.parametrize("name", ["x.kv", "x.kv.gz"])
@pytest.mark.parametrize("kind", [Word2Vec, FastText])
def test_vectors_are_as_gensim_loads_them(tmp_path, kind, name, limit):
    model = kind(TEXTS, vector_size=3, min_count=1, workers=1)
    model.wv.save(str(tmp_path / name), sep_limit=limit)
    if name.endswith(".gz") and limit > 1:  # gensim compresses the arrays only
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content) if content[:1] == b"\x80" else content)
    words, vectors = read_keyed(tmp_path / name)
    assert words == model.wv.index_to_key
    np.testing.assert_array_equal(vectors, model.wv.vectors)


def test_an_older_gensims_names(tmp_path):
    keyed = KeyedVectors(2)
    keyed.__dict__ = {"index2word": ["film"], "syn0": np.ones((1, 2), np.float32)}
    (tmp_path / "x.kv").write_bytes(pickle.dumps(keyed, 2))
    words, vectors = read_keyed(tmp_path / "x.kv")
    assert words == ["film"] and vectors.tolist() == [[1, 1]]


def test_any_cut_or_changed_byte_is_refused_or_harmless(tmp_path, canary):
    keyed = KeyedVectors(2)
    keyed.add_vectors(["film", "good"], np.eye(2, dtype=np.float32))
    whole = pickletools.optimize(pickle.dumps(keyed, 4))
    path, rng = tmp_path / "x.kv", np.random.default_rng(1)
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        cut = rng.integers(1, len(whole) + 1) if rng.random() < 0.2 else len(whole)
        path.write_bytes(damaged[:cut])
        try:
            read = read_vectors(path)
        except InputError:
            continue
        assert len(read.words) == len(read.vectors)


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nndarray\n((I1\ntVO\nC\x08AAAAAAAAtR.",  # an array of pointers
        b"\x80\x02Nr\xff\xff\xff\x0f.",  # a memo of gigabytes
        b"\x80\x02c__builtin__\nbytearray\n(I100000000000\ntR.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x08\x00\x00\x00punycode\x86R.",
        b"}(" + b")" + b"\x85" * 100_000 + b"Nu.",  # a deep key, whose hash recurses
        b"}()" + b"2\x86" * 200 + b"Nu.",  # a key whose hash takes 2^200 steps
        b"(l" + b"(l" * 50_000 + b".",
        b"\x80\x04)" + b"\x85" * 300_000 + b"\x8c\x01a\x93.",  # a deep name
        b"\x80\x04)" + b"2\x86" * 100 + b"\x8c\x01a\x93.",
        b"\x80\x04\x8a\xff" + b"\xff" * 10,
        b"\x80\x05\x8e" + b"\xff" * 8 + b".",  # bytes of 2^64 - 1
        b"\x80\x04\x94.", b"\x80\x04e.", b"\x80\x04R.", b"\x80\x04h\x01.", b".", b"\x80\x04",
        b"Ppersistent\n.", b"\x80\x02\x82\x01.", b"\x80\x05\x97.",
    ],
)  # fmt: skip
def test_pickles_that_are_made_to_harm(tmp_path, content):
    (tmp_path / "x.kv").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.kv: expected gensim's KeyedVectors"):
        read_vectors(tmp_path / "x.kv")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2"])
def test_arrays_within_the_pickle(tmp_path, protocol, order, kind):
    vectors = np.asarray([[1, 2, 3], [4, 5, 6.5]], kind, order=order)
    keyed = KeyedVectors(3)
    keyed.__dict__ = {"index_to_key": ["film", "gut é"], "vectors": vectors}
    (tmp_path / "x.kv").write_bytes(pickle.dumps(keyed, protocol))
    words, found = read_keyed(tmp_path / "x.kv")
    assert words == ["film", "gut é"]
    np.testing.assert_array_equal(found, vectors)


@pytest.mark.parametrize("change", [{"dtype": "O"}, {"shape": (3, 3)}, {"shape": (-2, -3)}])
def test_arrays_that_are_none(tmp_path, change):
    vectors = np.ones((2, 3), change.get("dtype", "f4"))
    keyed = KeyedVectors(3)
    keyed.__dict__ = {"index_to_key": ["a", "b"], "vectors": vectors}
    content = pickle.dumps(keyed, 4)
    if "shape" in change:
        old, new = (pickle.dumps(shape, 4)[11:-2] for shape in ((2, 3), change["shape"]))
        assert old in content
        content = content.replace(old, new)
    (tmp_path / "x.kv").write_bytes(content)
    with pytest.raises(InputError, match=r"\(TypeError|\(ValueError"):
        read_vectors(tmp_path / "x.kv")


DEEP = b")" + b"\x85" * 300_000
DOUBLED = b")" + b"2\x86" * 100  # of 2^100 leaves


@pytest.mark.parametrize("odd", [DEEP, DOUBLED, b"(]t"])
@pytest.mark.parametrize("place", ["kind", "shape", "content", "encoding", "function", "words"])
def test_odd_values_in_a_set(tmp_path, odd, place):
    parts = {"kind": b"X\x02\x00\x00\x00f4", "shape": b"K\x01K\x01\x86", "content": b"C\x04abcd"}
    parts["words"] = b"]X\x01\x00\x00\x00aa"
    if place == "encoding":
        parts["content"] = b"c_codecs\nencode\nX\x01\x00\x00\x00a" + odd + b"\x86R"
    elif place == "function":
        parts["content"] = odd + b")R"
    else:
        parts[place] = odd
    dtype = b"cnumpy\ndtype\n" + parts["kind"] + b"\x85R"
    array = b"cnumpy._core.numeric\n_frombuffer\n(" + parts["content"] + dtype + parts["shape"]
    array += b"X\x01\x00\x00\x00CtR"
    state = b"}(X\x0c\x00\x00\x00index_to_key" + parts["words"] + b"X\x07\x00\x00\x00vectors"
    (tmp_path / "x.kv").write_bytes(b"\x80\x04c__main__\nK\n)\x81" + state + array + b"ub.")
    with pytest.raises(InputError, match=r"x\.kv: expected gensim's KeyedVectors"):
        read_vectors(tmp_path / "x.kv")


def test_words_and_n_grams_that_would_take_gigabytes(tmp_path, monkeypatch):
    wv = FastText(TEXTS, vector_size=3, min_count=1, workers=1, bucket=10).wv
    path = tmp_path / "x.kv"

    def refused(message):
        wv.save(str(path))
        with pytest.raises(InputError, match=message):
            read_vectors(path)

    wv.min_n, wv.max_n = 1, 10**6
    refused("too long")
    wv.max_n = 20
    monkeypatch.setattr(pickles, "_MOST_NGRAMS", 20 * len("goodbadfilm") - 1)
    refused("it has more than 219 n-grams")
    wv.index_to_key = ["good", "good", "film"]
    refused("a word several times")
    wv.index_to_key = ["good", "bad", "a" * 10_001]
    refused("a word of more than 10,000")
    wv.index_to_key = ["good", "bad", "film"]
    del wv.compatible_hash
    refused(r"before gensim 3\.8")


def test_a_word_that_would_be_encoded_a_million_times(tmp_path):
    keyed = KeyedVectors(2)
    keyed.__dict__ = {"index_to_key": ["a" * 10_001] * 2, "vectors": np.ones((2, 1), np.float32)}
    (tmp_path / "x.kv").write_bytes(pickle.dumps(keyed, 4))
    with pytest.raises(InputError, match="a word of more than 10,000"):
        read_vectors(tmp_path / "x.kv")


@pytest.mark.parametrize("shape", [(1, 0), (1, 200_000)])
def test_vectors_of_an_impossible_width(tmp_path, shape):
    keyed = KeyedVectors(2)
    keyed.__dict__ = {"index_to_key": ["a"], "vectors": np.zeros(shape, np.float32)}
    (tmp_path / "x.kv").write_bytes(pickle.dumps(keyed, 4))
    with pytest.raises(InputError, match="its vectors have"):
        read_vectors(tmp_path / "x.kv")


def test_a_bomb_beside_is_refused(tmp_path):
    keyed = KeyedVectors(2)
    keyed.__dict__ = {"index_to_key": ["a"], "__numpys": ["vectors"]}
    (tmp_path / "x.kv.gz").write_bytes(gzip.compress(pickle.dumps(keyed, 4)))
    np.savez_compressed(tmp_path / "x.kv.gz.vectors.npz", val=np.zeros((10**8, 4), np.float32))
    with pytest.raises(InputError, match="unpacks to more than 100 times"):
        read_vectors(tmp_path / "x.kv.gz")
