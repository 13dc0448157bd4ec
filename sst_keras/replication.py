"""Training on several devices of one machine: each one computes a share of every batch.

A step is that of one device: gradients are summed over the texts of all shares before anything else
is done with them. Only dropout differs, because each device draws its own.
"""

from typing import Any

import numpy as np

from sst_keras.errors import UsageError
from sst_keras.runtime import keras, tf, uses_tensorflow

_STRIDE = 7919  # between the seeds of two devices


def mirrored() -> tf.distribute.Strategy:
    """Returns the strategy that keeps a copy of the weights on each GPU; without one, on each CPU.

    TensorFlow counts all cores of a machine as one CPU, unless `tf.config` divides them.

    Raises:
        UsageError: If there are fewer than two devices, or Keras does not compute with TensorFlow.
    """
    if not uses_tensorflow():
        raise UsageError(
            f"expected Keras with TensorFlow. Received: KERAS_BACKEND={keras.backend.backend()}.",
            setting="strategy",
        )
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if len(devices) < 2:
        gpus = len(devices) if kind == "GPU" else 0
        raise UsageError(f"expected at least two GPUs. Received: {gpus}.", setting="strategy")
    return tf.distribute.MirroredStrategy(devices)


def spread(batches: tf.data.Dataset, strategy: tf.distribute.Strategy) -> Any:
    """Returns batches as Keras takes them for a strategy: a share for each device.

    A batch is a nest of tensors of shape [rows, ...]. Shares are equal as far as they can be: they
    differ by one row at most, and a batch of few rows has shares without any.
    """
    # Keras would ask TensorFlow to cut the batches, which rewrites how they were made.
    devices = strategy.num_replicas_in_sync

    def shares(*batch: Any) -> tf.data.Dataset:
        rows = tf.shape(tf.nest.flatten(batch)[0])[0]

        def share(number: tf.Tensor) -> Any:
            start, end = number * rows // devices, (number + 1) * rows // devices
            return tf.nest.map_structure(lambda column: column[start:end], batch)

        return tf.data.Dataset.range(devices, output_type=tf.int32).map(share)

    found = strategy.distribute_datasets_from_function(lambda context: batches.flat_map(shares))
    # Keras knows such data sets by their class, and needs a length: see `TrainingParts`.
    kind = type(found)
    found.__class__ = type(kind.__name__, (kind,), {"cardinality": int(batches.cardinality())})
    return found


class ReplicatedModel(keras.Model):
    """A functional model whose loss is the mean over a batch, however it is shared out.

    Keras takes the mean of the shares' means, which is another number if shares differ in size, and
    nan if one is empty. Losses that layers add are not counted; this package's layers add none.
    """

    def compile(self, *args: Any, loss: keras.losses.Loss, **kwargs: Any) -> None:
        """Compiles the model, and keeps what computes the loss of each row."""
        super().compile(*args, loss=loss, **kwargs)
        self._loss_of_rows = loss.call

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Builds the metrics. Keras would read a batch, and shares cannot differ in size there."""
        ids, labels = tf.zeros((1, 1), tf.int32), tf.zeros((1,), tf.int32)
        with self.distribute_strategy.scope():
            self._symbolic_build(data_batch=({"token_ids": ids}, labels))

    def part_random_states(self) -> None:
        """Lets each device draw its own dropout; the first one draws what a single device would.

        Call it once after the model was built or its state restored, which make all copies equal.
        """
        for variable in self.variables:
            if variable.name == "seed_generator_state":  # uint32[2]: the seed, and a counter
                for number, copy in enumerate(variable.value.values):
                    seed, counter = copy.numpy().tolist()
                    seed = (seed + number * _STRIDE) % 2**32
                    copy.assign(np.array([seed, counter], np.uint32))

    def _logits(self, x: dict[str, tf.Tensor], training: bool) -> tf.Tensor:
        """Returns float32[rows, classes]. A share without rows runs on a word, for its layers."""
        ids = x["token_ids"]  # int32[rows, time]
        rows = tf.shape(ids)[0]
        ids = tf.pad(ids, [[0, tf.cast(rows == 0, tf.int32)], [0, 0]], constant_values=1)
        return self({"token_ids": ids}, training=training)[:rows]

    def train_step(self, data: tuple) -> dict[str, tf.Tensor]:
        """Trains on a device's share of a batch."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            logits = self._logits(x, training=True)
            loss = self._share_of_loss(y, logits, weights)
        trained = self.trainable_weights
        self.optimizer.apply(tape.gradient(loss, trained), trained)
        return self.compute_metrics(x, y, logits, sample_weight=weights)

    def test_step(self, data: tuple) -> dict[str, tf.Tensor]:
        """Scores a device's share of a batch."""
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        logits = self._logits(x, training=False)
        self._share_of_loss(y, logits, weights)
        return self.compute_metrics(x, y, logits, sample_weight=weights)

    def _share_of_loss(self, y: Any, logits: Any, weights: Any) -> tf.Tensor:
        """Returns what a share adds to the batch's mean loss, and counts it for the epoch's."""
        losses = self._loss_of_rows(y, logits)  # float32[rows]
        total = tf.reduce_sum(losses if weights is None else losses * weights)
        rows = tf.cast(tf.shape(losses)[0], total.dtype)
        self._loss_tracker.update_state(tf.math.divide_no_nan(total, rows), sample_weight=rows)
        replica = tf.distribute.get_replica_context()
        return total / replica.all_reduce(tf.distribute.ReduceOp.SUM, rows)
