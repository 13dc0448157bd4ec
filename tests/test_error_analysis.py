import numpy as np
import pytest

from sst_keras.corpora import Corpus, Split
from sst_keras.error_analysis import CONTRASTS, NEGATIONS, analyse, contains, phrases
from sst_keras.texts import Texts

TEXTS = ["It is n't bad", "good , BUT long", "No", "fine " * 10 + "end", "Dull"]


def split_of(texts, labels):
    words = [text.split() for text in texts]
    flat = [word for text in words for word in text]
    return Split(Texts.from_tokens(flat, [len(text) for text in words]), np.array(labels))


def one_hot(labels, sure):
    """Returns probabilities whose highest is `sure`, of three classes."""
    rest = (1 - np.array(sure))[:, None] / 2
    return np.where(np.eye(3)[labels] > 0, np.array(sure)[:, None], rest)


def test_by_hand():
    split = split_of(TEXTS, [1, 1, 0, 2, 0])
    corpus = Corpus("own", ("bad", "so-so", "good"), split, split, split)
    found = analyse(corpus, split, one_hot([1, 0, 2, 2, 2], [0.9, 0.8, 0.5, 0.9, 0.7]))
    shares = {share.name: (share.n, share.accuracy) for g in found.groups.values() for share in g}
    assert shares == {
        "all texts": (5, 0.4),
        "1 to 10 tokens": (4, 0.25),
        "11 to 20 tokens": (1, 1.0),
        "with a negation": (2, 0.5),
        "without a negation": (3, pytest.approx(1 / 3)),
        "with a contrast (but, although, ...)": (1, 0.0),
        "without a contrast (but, although, ...)": (4, 0.5),
    }
    first, second = found.confusions
    assert (first.true, first.predicted, first.n) == ("bad", "good", 2)
    assert first.examples == (("Dull", pytest.approx(0.7)), ("No", pytest.approx(0.5)))
    assert (second.true, second.predicted, second.n) == ("so-so", "bad", 1)
    low, high = found.groups["length"][0].interval
    assert low < 0.25 < high
    report = found.to_dict()
    assert report["groups"]["negation"][0]["n"] == 2 and report["phrases"] is None


def test_words_are_found_whatever_their_case():
    split = split_of([*TEXTS, "do n't", "knot"], [0] * 7)
    found = contains(split.texts, NEGATIONS, "n't")
    np.testing.assert_array_equal(found, [True, False, True, False, False, True, False])
    found = contains(split.texts, CONTRASTS)
    np.testing.assert_array_equal(found, [False, True, False, False, False, False, False])


def test_no_errors_and_phrases():
    split = split_of(["a", "b"], [0, 2])
    corpus = Corpus("own", ("bad", "so-so", "good"), split, split, split)
    right = one_hot([0, 2], [0.9, 0.9])
    assert analyse(corpus, split, right).confusions == ()
    share = phrases(split, one_hot([0, 0], [0.9, 0.9]))
    assert (share.n, share.accuracy) == (2, 0.5)
