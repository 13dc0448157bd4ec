"""Tokens + `Vocabulary` → `tf.data` batches: token_ids int32[batch, time], label int32[batch].

Padding, id 0, stands on the right. All of it runs in TensorFlow; no Python runs per example.
"""

from __future__ import annotations

import numpy as np

from sst_keras.corpora import Split
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig
from sst_keras.vocabulary import Vocabulary

_UNKNOWN_ID = 1
# Batches that are sorted together, at most. More of them waste less on padding, and leave less to
# chance.
_POOL = 64


class TokenEncoder(tf.Module):
    """Tokens → ids, the same in training and inside an exported model.

    Args:
        vocabulary: The words.
        lowercase: Whether tokens are lower-cased first.
    """

    def __init__(self, vocabulary: Vocabulary, lowercase: bool) -> None:
        """Makes the lookup table."""
        super().__init__()
        self.lowercase = lowercase
        # Padding has no entry: a text that spells it is a text of an unknown word.
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


def training_batches(
    split: Split, encoder: TokenEncoder, data: DataConfig, seed: int
) -> tf.data.Dataset:
    """Returns shuffled batches of texts of like length.

    1. The examples are shuffled, all of them at once, anew in each epoch, as `seed` has it.
    2. Each `_POOL` batches' worth of them in turn, or half of all if that is less, is sorted by
       length, equal lengths staying in the shuffle's order, and cut into batches, each padded to
       its longest.
    3. The epoch's batches are shuffled.

    Args:
        split: The texts and their labels.
        encoder: Tokens → ids.
        data: Batch size and the most tokens of a text.
        seed: The shuffles'.

    Returns:
        Batches of `({token_ids: int32[batch, time]}, label: int32[batch])`.
    """
    ids = encoder(split.tokens)
    if data.max_length:
        ids = ids[:, : data.max_length]
    lengths = ids.row_lengths()  # int64[examples]
    batches = -(-len(split) // data.batch_size)

    def cut(pool: tf.Tensor) -> tf.data.Dataset:
        order = tf.argsort(tf.gather(lengths, pool), stable=True)
        return tf.data.Dataset.from_tensor_slices(tf.gather(pool, order)).batch(data.batch_size)

    rows = tf.data.Dataset.range(len(split))
    rows = rows.shuffle(len(split), seed=seed, reshuffle_each_iteration=True)
    pool = min(_POOL, -(-batches // 2))
    rows = rows.batch(pool * data.batch_size).flat_map(cut)
    rows = rows.shuffle(batches, seed=seed, reshuffle_each_iteration=True)
    rows = rows.apply(tf.data.experimental.assert_cardinality(batches))
    return _read_rows(rows, ids, split.labels)


def evaluation_batches(
    split: Split, encoder: TokenEncoder, batch_size: int
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Returns batches of texts from the shortest to the longest, and the order that makes.

    Args:
        split: The texts and their labels.
        encoder: Tokens → ids.
        batch_size: Texts in a batch.

    Returns:
        Batches as `training_batches` gives them, and int64[texts]: the place in `split` of each
        text that the batches hold, in turn.
    """
    ids = encoder(split.tokens)
    order = np.argsort(ids.row_lengths().numpy(), kind="stable")
    rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
    return _read_rows(rows, ids, split.labels), order


def _read_rows(rows: tf.data.Dataset, ids: tf.RaggedTensor, labels: np.ndarray) -> tf.data.Dataset:
    """Maps batches of row numbers to batches of padded texts and labels, read ahead."""

    def read(batch: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        token_ids = tf.gather(ids, batch).to_tensor()  # [batch, time], 0 at padding
        return {"token_ids": token_ids}, tf.gather(labels, batch)

    return rows.map(read).prefetch(tf.data.AUTOTUNE)
