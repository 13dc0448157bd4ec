import numpy as np
import tensorflow as tf

from sst_keras.corpora import Split
from sst_keras.encoder import TokenEncoder, count_tokens
from sst_keras.texts import Texts
from sst_keras.vocabulary import PADDING, UNKNOWN, Vocabulary

VOCABULARY = Vocabulary((PADDING, UNKNOWN, "a", "b", "é"))


def split_of(*texts):
    words = [text.split() for text in texts]
    tokens = [word for text in words for word in text], [len(text) for text in words]
    return Split(Texts.from_tokens(*tokens), np.arange(len(texts), dtype=np.int32))


def test_ids_of_tokens():
    encoder = TokenEncoder(VOCABULARY, lowercase=False)
    ids = encoder(split_of("a b", "É é a x", "A").tokens)
    assert ids.to_list() == [[2, 3], [1, 4, 2, 1], [1]]
    assert ids.dtype == tf.int32


def test_lower_case():
    encoder = TokenEncoder(VOCABULARY, lowercase=True)
    assert encoder(split_of("A É").tokens).to_list() == [[2, 4]]


def test_a_text_that_spells_padding_is_unknown():
    encoder = TokenEncoder(VOCABULARY, lowercase=False)
    assert encoder(split_of(f"{PADDING} {UNKNOWN}").tokens).to_list() == [[1, 1]]


def test_counts():
    assert count_tokens(split_of("A a b", "É"), lowercase=True) == {"a": 2, "b": 1, "é": 1}
    assert count_tokens(split_of("A a"), lowercase=False) == {"A": 1, "a": 1}
