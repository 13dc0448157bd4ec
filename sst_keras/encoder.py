"""Tokens → ids in TensorFlow operations, the same in training and in an exported model."""

from sst_keras.corpora import Split
from sst_keras.runtime import tf
from sst_keras.vocabulary import Vocabulary

_UNKNOWN_ID = 1


class TokenEncoder(tf.Module):
    """Looks tokens up in a vocabulary, after lower-casing them if `lowercase`."""

    def __init__(self, vocabulary: Vocabulary, lowercase: bool) -> None:
        super().__init__()
        self.lowercase = lowercase
        # Padding has no entry: a text that contains "<pad>" contains an unknown word.
        words = tf.constant(vocabulary.tokens[_UNKNOWN_ID:])
        ids = tf.range(_UNKNOWN_ID, len(vocabulary), dtype=tf.int32)
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(words, ids), default_value=_UNKNOWN_ID
        )

    def __call__(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        """Maps string[batch, (tokens)] to int32[batch, (tokens)]."""
        return tf.ragged.map_flat_values(
            lambda flat: self.table.lookup(normalize(flat, self.lowercase)), tokens
        )


def normalize(tokens: tf.Tensor, lowercase: bool) -> tf.Tensor:
    """Returns string[n] as the vocabulary spells them."""
    return tf.strings.lower(tokens, encoding="utf-8") if lowercase else tokens


def count_tokens(split: Split, lowercase: bool) -> dict[str, int]:
    """Returns how often each word occurs in a split, spelled as the vocabulary spells it."""
    words, _, counts = tf.unique_with_counts(normalize(split.tokens.flat_values, lowercase))
    return {
        word.decode("utf-8"): int(count)
        for word, count in zip(words.numpy(), counts.numpy(), strict=True)
    }
