import hashlib

import numpy as np
import pytest

from sst_keras.runtime import tf
from sst_keras.texts import Texts, TextReader, contained


def read(*texts):
    reader = TextReader()
    reader.add(texts)
    return reader.finish()


def rows(texts):
    return [texts.row(index) for index in range(len(texts))]


def test_columns():
    texts = read("A b, a.", "", "b A")
    assert texts.words.spellings.tolist() == [b"A", b"b", b",", b"a", b".", b"<unk>"]
    assert texts.ids.dtype == np.int32 and texts.ids.tolist() == [0, 1, 2, 3, 4, 5, 1, 0]
    assert texts.starts.dtype == np.int64 and texts.starts.tolist() == [0, 5, 6, 8]
    assert texts.lengths.tolist() == [5, 1, 2]
    assert len(texts) == 3 and rows(texts) == [["A", "b", ",", "a", "."], ["<unk>"], ["b", "A"]]
    assert texts.row(-1) == ["b", "A"]
    assert texts.tokens.to_list() == [[b"A", b"b", b",", b"a", b"."], [b"<unk>"], [b"b", b"A"]]
    with pytest.raises(IndexError):
        texts.row(3)


def test_no_texts():
    texts = TextReader().finish()
    assert len(texts) == 0 and texts.starts.tolist() == [0] and texts.tokens.to_list() == []
    assert texts.keys().tolist() == [] and contained(texts, texts).tolist() == []


def test_texts_of_tokens():
    texts = Texts.from_tokens(["b", "a", "b"], [0, 2, 0, 0, 1, 0])
    unknown = ["<unk>"]
    assert rows(texts) == [unknown, ["b", "a"], unknown, unknown, ["b"], unknown]
    flat = tf.constant(["b", "a", "b"])
    assert rows(Texts.from_tokens(flat, [1, 2])) == [["b"], ["a", "b"]]


def test_taking_texts():
    texts = read("a b c", "d", "e f")
    taken = texts.take(np.array([2, 0, 2]))
    assert rows(taken) == [["e", "f"], ["a", "b", "c"], ["e", "f"]]
    assert taken.words is texts.words
    assert rows(texts.take(np.array([], int))) == []


def test_keys_depend_on_the_tokens_in_lower_case():
    texts = read("A film, É.", "a  film , é .", "film a , é .", "a film , é", "", "\u00a0")
    keys = texts.keys()
    assert keys.dtype == np.uint64
    assert keys[0] == keys[1] and keys[4] == keys[5]
    assert len(set(keys.tolist())) == 4
    assert read("", "other words", "a film, é.").keys()[[2, 0]].tolist() == keys[[0, 4]].tolist()
    assert texts.take(np.array([1])).keys().tolist() == keys[[1]].tolist()


def test_keys_are_the_same_in_every_process():
    def digest(word):
        return int.from_bytes(hashlib.blake2b(word, digest_size=8).digest(), "little")

    base, modulus = 0x9E3779B97F4A7C15, 2**64
    key = (digest(b"a") + digest(b"b") * base + digest(b"a") * base**2) % modulus
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % modulus
    key = (key ^ key >> 27) * 0x94D049BB133111EB % modulus
    assert read("c", "a B a").keys()[1] == key ^ key >> 31


def test_contained():
    haystack = read("The film was good", "and long", "Bad")
    cases = {
        "the film was good": True,
        "FILM was": True,
        "good": True,
        "bad": True,
        "film good": False,
        "good and": False,  # across texts
        "and long bad": False,
        "was the": False,
        "unseen": False,
        "the film was good and long bad": False,
    }
    assert contained(read(*cases), haystack).tolist() == list(cases.values())
    assert contained(read("a"), read()).tolist() == [False]
