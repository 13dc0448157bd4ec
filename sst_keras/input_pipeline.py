"""Texts → `tf.data` batches: `token_ids: int32[batch, time]` and `label: int32[batch]`.

Padding has the id 0 and is on the right. Everything runs in TensorFlow: no Python per example.
"""

import numpy as np

from sst_keras.corpora import Split
from sst_keras.encoder import TokenEncoder
from sst_keras.runtime import tf
from sst_keras.settings import DataConfig

# The most batches that are sorted by length together. More would need less padding, but would mix
# the examples less.
_POOL = 64


def training_batches(
    split: Split, encoder: TokenEncoder, data: DataConfig, seed: int
) -> tf.data.Dataset:
    """Returns shuffled batches of texts of similar length.

    1. Each epoch shuffles all examples anew.
    2. Pools of `_POOL` batches of examples (or of half of all examples, if that is less) are sorted
       by length, with ties in the order of the shuffle, and cut into batches. Each batch is padded
       to its longest text.
    3. The batches of the epoch are shuffled.

    Each batch is `({token_ids: int32[batch, time]}, label: int32[batch])`.
    """
    ids = encoder.encode(split.texts)
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
    """Returns batches of texts sorted by length, and the order of the texts in them.

    The batches are as from `training_batches`. The order is int64[texts], the index in `split` of
    each text in the batches.
    """
    ids = encoder.encode(split.texts)
    order = np.argsort(ids.row_lengths().numpy(), kind="stable")
    rows = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
    return _read_rows(rows, ids, split.labels), order


def _read_rows(rows: tf.data.Dataset, ids: tf.RaggedTensor, labels: np.ndarray) -> tf.data.Dataset:
    """Maps batches of row numbers to prefetched batches of padded texts and labels."""

    def read(batch: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        token_ids = tf.gather(ids, batch).to_tensor()  # [batch, time], 0 at padding
        return {"token_ids": token_ids}, tf.gather(labels, batch)

    return rows.map(read).prefetch(tf.data.AUTOTUNE)
