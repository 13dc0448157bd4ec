"""Texts → `tf.data` batches: `token_ids: int32[batch, time]` and `label: int32[batch]`.

Padding has the id 0 and is on the right. Everything runs in TensorFlow: no Python per example.
"""

from collections.abc import Iterator

import numpy as np

from sst_keras.corpora import Split
from sst_keras.encoder import TokenEncoder
from sst_keras.runtime import keras, read_ahead, tf
from sst_keras.settings import DataConfig
from sst_keras.texts import Texts, batch_sizes

# The most batches that are sorted by length together. More would need less padding, but would mix
# the examples less.
_POOL = 64
# Texts are padded to a multiple of so many tokens for JAX, which compiles for each new shape.
_JAX_MULTIPLE = 8


class TrainingParts:
    """The training batches, part by part: what lies between two checks of dev.

    Each pass over the batches of `training_rows` is cut into parts of equal numbers of batches, as
    far as they can be equal. Each iteration of `dataset` yields the next part. Keras takes a part
    for an epoch. A part is `({token_ids: int32[batch, time]}, label: int32[batch])` per batch, and
    with `weights` float32[examples] a third column, weight: float32[batch].

    `first` is texts and the probabilities of their classes, float32[texts, classes]. With it, the
    first `data.pseudo_epochs` passes read these texts, each with the weight 1, and labels are
    float32[batch, classes].

    Attributes:
        per_pass: The parts of a pass. If a pass has fewer batches than parts were asked for, each
            pass has as many parts as that one has batches.
        examples: The examples of the part that was read last.
    """

    def __init__(
        self,
        split: Split,
        encoder: TokenEncoder,
        data: DataConfig,
        seed: int,
        per_pass: int = 1,
        weights: np.ndarray | None = None,
        roots: np.ndarray | None = None,
        first: tuple[Texts, np.ndarray] | None = None,
    ) -> None:
        ids, labels = _encoded(split.texts, encoder, data), split.labels
        rows = training_rows(ids.row_lengths().numpy(), data, seed, roots)
        passes = [rows]
        if first:
            texts, targets = first
            more = _encoded(texts, encoder, data)
            order = training_rows(more.row_lengths().numpy(), data, seed)
            passes = [order.map(lambda batch: batch + len(split)), rows]
            ids = tf.concat([ids, more], axis=0)
            labels = np.eye(targets.shape[1], dtype=np.float32)[labels]
            labels = np.concatenate([labels, targets])
            if weights is not None:
                weights = np.concatenate([weights, np.ones(len(texts), np.float32)])
        repeats = [data.pseudo_epochs, 1] if first else [1]  # of each kind of pass
        batches = [int(each.cardinality()) for each in passes]
        self.per_pass, self.examples = min(per_pass, *batches), 0
        # A pass that is repeated is the same data set, which then shuffles anew.
        orders = [each.ragged_batch(size) for each, size in zip(passes, batches, strict=True)]
        self._batches = np.repeat(batches, repeats).tolist()
        self._passes = [orders[kind] for kind in np.repeat(np.arange(len(orders)), repeats)]
        self._next, self._drawn = 0, 0  # the next part; the passes whose order was drawn
        spec = tf.RaggedTensorSpec([None, None], tf.int64)
        found = tf.data.Dataset.from_generator(self._part, output_signature=spec)
        rows = found.flat_map(tf.data.Dataset.from_tensor_slices)
        self.dataset = _read_rows(rows, ids, labels, weights)
        # Without a length, Keras would give later parts no more batches than the first one has.
        longest = max(self.steps(part) for part in range(len(self._batches) * self.per_pass))
        self.dataset.cardinality = lambda: tf.constant(longest, tf.int64)

    def batches(self, passes: int) -> int:
        """Returns how many batches so many passes have."""
        return sum(self._batches[:passes]) + self._batches[-1] * max(0, passes - len(self._batches))

    def steps(self, part: int) -> int:
        """Returns the batches of a part, from 0."""
        return self._end(part + 1) - self._end(part)

    def later(self, part: int, parts: int) -> int:
        """Returns the batches after a part, of the first `parts` parts."""
        return self._end(parts) - self._end(part + 1)

    def epoch(self, part: int) -> float:
        """Returns the epochs at the end of a part, such as 1 or 1.333."""
        epochs = (part + 1) / self.per_pass
        return int(epochs) if epochs.is_integer() else round(epochs, 3)

    def skip(self, parts: int) -> None:
        """Goes to a place as if so many parts had been read."""
        self._next = parts

    def _end(self, parts: int) -> int:
        """Returns the batches of the first `parts` parts."""
        passes, rest = divmod(parts, self.per_pass)
        start = self.batches(passes)
        return start + rest * (self.batches(passes + 1) - start) // self.per_pass

    def _part(self) -> Iterator[tf.RaggedTensor]:
        """Yields the rows int64[batches, (batch)] of the next part."""
        number = self._next // self.per_pass
        while self._drawn <= number:
            order = self._passes[min(self._drawn, len(self._passes) - 1)]
            self._order = next(iter(order))
            # Another iterator moves the shuffles' seeds on. Keras made one after each epoch, and
            # earlier results depend on it.
            iter(order)
            self._drawn += 1
        start = self.batches(number)
        rows = self._order[self._end(self._next) - start : self._end(self._next + 1) - start]
        self.examples = len(rows.flat_values)
        self._next += 1
        yield rows


def training_batches(
    split: Split, encoder: TokenEncoder, data: DataConfig, seed: int
) -> tf.data.Dataset:
    """Returns the batches `({token_ids: int32[batch, time]}, label: int32[batch])` of a pass.

    Each iteration is another pass; see `training_rows`.
    """
    ids = _encoded(split.texts, encoder, data)
    return _read_rows(training_rows(ids.row_lengths().numpy(), data, seed), ids, split.labels)


def _encoded(texts: Texts, encoder: TokenEncoder, data: DataConfig) -> tf.RaggedTensor:
    """Returns the ids int32[texts, (time)] of training texts, cut to `data.max_length`."""
    ids = encoder.encode(texts)
    return ids[:, : data.max_length] if data.max_length else ids


def training_rows(
    lengths: np.ndarray, data: DataConfig, seed: int, roots: np.ndarray | None = None
) -> tf.data.Dataset:
    """Returns shuffled batches of texts of similar length, as row numbers int64[batch].

    `lengths` int64[examples] are in tokens.

    1. Each pass shuffles all examples anew.
    2. Pools of `_POOL` batches of examples (or of half of all examples, if that is less) are sorted
       by length, with ties in the order of the shuffle, and cut into batches.
    3. The batches of the pass are shuffled.

    Texts for which a full batch could exceed `data.batch_tokens` tokens with its padding are kept
    apart: texts that fit half of a batch, a quarter, and so on, down to one text per batch. Steps 1
    and 2 treat each such group by itself, step 3 mixes the batches of all groups.

    With `roots`, the rows of complete texts as in `Corpus.roots`, each pass has these and
    `data.phrases_per_sentence` phrases of each, or as many as it has, that are drawn anew: Tai et
    al., "Improved Semantic Representations From Tree-Structured Long Short-Term Memory Networks",
    ACL 2015. How many are long then differs from pass to pass, so all batches have the size of
    those of the longest texts.
    """
    groups = _groups(lengths, data.batch_size, data.batch_tokens)
    if roots is None:
        sources = [tf.data.Dataset.from_tensor_slices(rows) for _, rows in groups]
        counts = [len(rows) for _, rows in groups]
    else:
        drawn, count = _drawn(roots, len(lengths), data.phrases_per_sentence, seed)
        groups, sources, counts = groups[-1:], [drawn], [count]
    sizes = [size for size, _ in groups]
    batches = sum(-(-count // size) for count, size in zip(counts, sizes, strict=True))
    rows, *others = (
        _pooled(source, count, lengths, size, seed)
        for source, count, size in zip(sources, counts, sizes, strict=True)
    )
    for other in others:
        rows = rows.concatenate(other)
    rows = rows.shuffle(batches, seed=seed, reshuffle_each_iteration=True)
    return rows.apply(tf.data.experimental.assert_cardinality(batches))


def epoch_shares(roots: np.ndarray, spans: int, per_root: int) -> np.ndarray:
    """Returns float64[spans], how often a pass over `sampled-phrases` has each of the spans.

    It is 1 for the complete texts at `roots`. For the `n` phrases of a text it is
    `min(1, per_root / n)`.
    """
    phrases = np.diff(np.append(roots, spans)) - 1
    shares = np.repeat(np.minimum(1, per_root / np.maximum(phrases, 1)), phrases + 1)
    shares[roots] = 1
    return shares


def _drawn(roots: np.ndarray, spans: int, per_root: int, seed: int) -> tuple[tf.data.Dataset, int]:
    """Returns a data set of the rows of an epoch, other ones each time, and how many they are."""
    counts = np.diff(np.append(roots, spans))
    owners = np.repeat(np.arange(len(roots), dtype=np.float64), counts)
    places = np.arange(spans) - np.repeat(roots, counts)

    def draw(state: tf.Tensor) -> tf.data.Dataset:
        chances = tf.random.stateless_uniform([spans], [seed, state], dtype=tf.float64)
        keys = tf.where(places == 0, owners, owners + chances)
        order = tf.argsort(keys, stable=True)  # by text, the complete text first
        chosen = tf.boolean_mask(order, places <= per_root)
        return tf.data.Dataset.from_tensor_slices(tf.cast(chosen, tf.int64))

    states = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    return states.flat_map(draw), int(np.minimum(counts, per_root + 1).sum())


def _groups(
    lengths: np.ndarray, batch_size: int, batch_tokens: int
) -> list[tuple[int, np.ndarray]]:
    """Returns pairs of a batch size and the rows int64[n] of the texts in batches of this size.

    The sizes are `batch_size`, half of it, a quarter, ..., 1. A text is in the group of the largest
    size of which a batch of its length has at most `batch_tokens` tokens.
    """
    sizes = [batch_size >> halvings for halvings in range(batch_size.bit_length())]
    if not batch_tokens:
        sizes = sizes[:1]
    limits = batch_tokens // np.array(sizes[:-1], np.int64)  # the longest text of all but the last
    group = np.searchsorted(limits, lengths, side="left")
    rows = [np.flatnonzero(group == number) for number in range(len(sizes))]
    return [(size, found) for size, found in zip(sizes, rows, strict=True) if len(found)]


def _pooled(
    rows: tf.data.Dataset, count: int, lengths: np.ndarray, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Returns batches of row numbers, shuffled and then sorted by length within pools."""

    def cut(pool: tf.Tensor) -> tf.data.Dataset:
        order = tf.argsort(tf.gather(lengths, pool), stable=True)
        return tf.data.Dataset.from_tensor_slices(tf.gather(pool, order)).batch(batch_size)

    batches = -(-count // batch_size)
    pool = min(_POOL, -(-batches // 2))
    shuffled = rows.shuffle(count, seed=seed, reshuffle_each_iteration=True)
    return shuffled.batch(pool * batch_size).flat_map(cut)


def evaluation_batches(
    split: Split, encoder: TokenEncoder, batch_size: int, batch_tokens: int = 0
) -> tuple[tf.data.Dataset, np.ndarray]:
    """Returns batches of texts sorted by length, and the order of the texts in them.

    The batches are as from `training_batches`, cut by `batch_sizes`. The order is int64[texts], the
    index in `split` of each text in the batches.
    """
    ids = encoder.encode(split.texts)
    lengths = ids.row_lengths().numpy()
    order = np.argsort(lengths, kind="stable")
    sizes = batch_sizes(lengths[order], batch_size, batch_tokens)
    rows = tf.data.Dataset.from_tensor_slices(tf.RaggedTensor.from_row_lengths(order, sizes))
    return _read_rows(rows, ids, split.labels), order


def _read_rows(
    rows: tf.data.Dataset,
    ids: tf.RaggedTensor,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Maps batches of row numbers to prefetched batches of padded texts, labels and weights."""
    columns = (labels,) if weights is None else (labels, weights)
    multiple = _JAX_MULTIPLE if keras.backend.backend() == "jax" else 1

    def read(batch: tf.Tensor) -> tuple:
        token_ids = tf.gather(ids, batch).to_tensor()  # [batch, time], 0 at padding
        if multiple > 1:
            token_ids = tf.pad(token_ids, [[0, 0], [0, -tf.shape(token_ids)[1] % multiple]])
        return {"token_ids": token_ids}, *(tf.gather(column, batch) for column in columns)

    return read_ahead(rows.map(read))
