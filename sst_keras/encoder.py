"""Tokens → ids in TensorFlow operations, the same in training and in an exported model."""

import numpy as np

from sst_keras.corpora import Split
from sst_keras.runtime import tf
from sst_keras.texts import Texts
from sst_keras.vocabulary import UNKNOWN_ID, Vocabulary


class TokenEncoder(tf.Module):
    """Looks tokens up in a vocabulary, after lower-casing them if `lowercase`."""

    def __init__(self, vocabulary: Vocabulary, lowercase: bool) -> None:
        super().__init__()
        self.lowercase = lowercase
        # Padding has no entry: a text that contains "<pad>" contains an unknown word.
        words = tf.constant(vocabulary.tokens[UNKNOWN_ID:])
        ids = tf.range(UNKNOWN_ID, len(vocabulary), dtype=tf.int32)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(words, ids), default_value=UNKNOWN_ID
        )

    def __call__(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Maps string[batch, (tokens)] to int32[batch, (tokens)]."""
        return tf.ragged.map_flat_values(self._look_up, tokens)

    def encode(self, texts: Texts) -> tf.RaggedTensor:
        """Returns the ids of texts: int32[texts, (tokens)]. Each word is looked up once."""
        ids = self._look_up(tf.constant(texts.words.spellings, tf.string)).numpy()
        return tf.RaggedTensor.from_row_splits(ids[texts.ids], texts.starts)

    def _look_up(self, words: tf.Tensor) -> tf.Tensor:
        return self.table.lookup(normalize(words, self.lowercase))


def normalize(tokens: tf.Tensor, lowercase: bool) -> tf.Tensor:
    """Returns string[n] as the vocabulary spells them."""
    return tf.strings.lower(tokens, encoding="utf-8") if lowercase else tokens


def count_tokens(split: Split, lowercase: bool) -> dict[str, int]:
    """Returns how often each word occurs in a split, spelled as the vocabulary spells it."""
    occurrences = np.bincount(split.texts.ids, minlength=len(split.texts.words))
    words = normalize(tf.constant(split.texts.words.spellings, tf.string), lowercase).numpy()
    counts: dict[str, int] = {}
    for word in np.flatnonzero(occurrences):
        spelled = words[word].decode("utf-8")
        counts[spelled] = counts.get(spelled, 0) + int(occurrences[word])
    return counts
