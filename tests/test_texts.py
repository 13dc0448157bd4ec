import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sst_keras import texts as module
from sst_keras.runtime import tf
from sst_keras.texts import TextReader, Texts, contained
from sst_keras.tokenizer import tokenize

# Pieces of text that the tokenizer's rules look at, within a word and at its ends.
PIECES = [
    *"'\"`.,:;-/\\*()[]{}<>!?$#%&_15abIxZéß日",
    *(" ", " ", " ", "\t", "\n", "\x0b", "\x1c", "\x7f", "\x00", "\x01", "\x02", "\x03", "\x04"),
    *("\x85", "\u00a0", "\u00a0", "\u200b", "\u200d", "\u2028", "\u3000", "\ufeff"),
    *("\u2018", "\u2019", "\u201c", "\u201d", "\u2013", "\u2026", "\ufe0f", "\u20e3"),
    *("No.", "no.", "No. 5", "1/2no.", "piano.", "anti", "pro", "anti-", "ol", "ol'", "'n'", "n't"),
    *("'s", "'em", "'til", "cannot", "Mr.", "etc.", "U.S.", "p.m.", "A.", "I.", "8\u00a01/2"),
    *("3:30", "'70s", "-LRB-", "<unk>", "😡", "❤\ufe0f", "👍🏽", "👨\u200d👩\u200d👧", "🇺🇸", "🇺"),
    *("™", "★", "1\ufe0f\u20e3", "#\ufe0f\u20e3", "©\ufe0f"),
]  # fmt: skip
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, database=None)


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


def test_texts_can_be_taken_while_others_are_read(monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 2)
    reader, parts = TextReader(), []
    for number in range(20):
        reader.add([f"word{number % 7} and, more."])
        parts.append(reader.drain())
    spellings = reader.close()
    parts.append(reader.drain())
    assert sum(len(lengths) for _, lengths in parts) == 20 and len(parts[-1][1]) < 20
    received = [spellings[each].decode() for ids, _ in parts for each in ids]
    expected = [[f"word{number % 7}", "and", ",", "more", "."] for number in range(20)]
    assert received == sum(expected, [])
    assert len(reader.drain()[0]) == 0


@SETTINGS
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), max_size=40))
def test_the_tokens_are_those_of_the_tokenizer(raw):
    expected = tokenize(tf.constant(raw, tf.string))
    expected = Texts.from_tokens(expected.flat_values, expected.row_lengths())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH", 15)
        received = read(*raw)
    assert received.words.spellings.tolist() == expected.words.spellings.tolist()
    assert received.ids.tolist() == expected.ids.tolist()
    assert received.starts.tolist() == expected.starts.tolist()


def test_batches_of_any_size(monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 2)
    reader = TextReader()
    for batch in (["a"], [], ["b", "c d", "a", "e"], ["No.", "No. 5", ""]):
        reader.add(batch)
    texts = reader.finish()
    expected = [["a"], ["b"], ["c", "d"], ["a"], ["e"], ["No", "."], ["No.", "5"], ["<unk>"]]
    assert rows(texts) == expected
    assert texts.words.spellings.tolist() == b"a b c d e No . No. 5 <unk>".split()


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "_BATCH", 1)
    monkeypatch.setattr(module, "_MEMORY", 250)
    reader = TextReader()
    reader.add(["a b", "b a", "c a", "a"])
    texts = reader.finish()
    assert rows(texts) == [["a", "b"], ["b", "a"], ["c", "a"], ["a"]]
    assert texts.words.spellings.tolist() == [b"a", b"b", b"c"]
    assert reader._memory._chunks.size == 2  # of "a" and the end of a text


def test_half_of_a_surrogate_pair_is_an_error():
    with pytest.raises(ValueError):
        read("a \ud83d")


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


def test_taking_more_texts_than_a_block(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 4)
    texts = read("a b c", "d", "e f g h i", "j k")
    order = [2, 0, 1, 3, 0, 2]
    assert rows(texts.take(np.array(order))) == [texts.row(row) for row in order]
    assert texts.take(np.array(order)).keys().tolist() == texts.keys()[order].tolist()


def test_keys_depend_on_the_tokens_in_lower_case():
    texts = read("A film, É.", "a  film , é .", "film a , é .", "a film , é", "", "\u00a0")
    keys = texts.keys()
    assert keys.dtype == np.uint64
    assert keys[0] == keys[1] and keys[4] == keys[5]
    assert len(set(keys.tolist())) == 4
    assert read("", "other words", "a film, é.").keys()[[2, 0]].tolist() == keys[[0, 4]].tolist()
    assert texts.take(np.array([1])).keys().tolist() == keys[[1]].tolist()


def test_keys_are_the_same_in_every_process():
    digests = {b"a": 0xB3454265B6DF75E3, b"b": 0xA3B260215EC8F116}  # Farmhash64
    base, modulus = 0x9E3779B97F4A7C15, 2**64
    key = (digests[b"a"] * (1 + base**2) + digests[b"b"] * base) % modulus
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


@SETTINGS
@given(*[st.lists(st.text("abA", min_size=1, max_size=20), max_size=12)] * 2)
def test_contained_by_brute_force(needles, haystack):
    expected = [any(n.lower() in text.lower() for text in haystack) for n in needles]
    needles, haystack = (
        Texts.from_tokens([*"".join(texts)], [len(text) for text in texts])
        for texts in (needles, haystack)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", 30)
        assert contained(needles, haystack).tolist() == expected
