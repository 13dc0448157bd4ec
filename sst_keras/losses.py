"""The losses by name, on logits and integer labels."""

from __future__ import annotations

from typing import Any

from sst_keras.runtime import keras

ops = keras.ops
_PACKAGE = "sst_keras"


def _targets(labels: Any, logits: Any, label_smoothing: float) -> Any:
    """Returns smoothed one-hot labels float32[batch, n]: 1 - s + s / n, and s / n elsewhere."""
    classes = ops.shape(logits)[-1]
    labels = ops.reshape(ops.cast(labels, "int32"), (-1,))
    one_hot = ops.one_hot(labels, classes, dtype=logits.dtype)
    return one_hot * (1.0 - label_smoothing) + label_smoothing / classes


class _LogitsLoss(keras.losses.Loss):
    """A loss on logits float32[batch, classes] and labels int32[batch], from 0.

    Args:
        label_smoothing: The share `s` of each label that is spread evenly over all classes:
            Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
    """

    def __init__(self, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(_PACKAGE)
class CrossEntropy(_LogitsLoss):
    """Cross entropy `-Σ_c t_c log softmax(z)_c` with the smoothed one-hot label `t`, in nats."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns float32[batch]."""
        targets = _targets(y_true, y_pred, self.label_smoothing)
        return -ops.sum(targets * ops.log_softmax(y_pred, axis=-1), axis=-1)


@keras.saving.register_keras_serializable(_PACKAGE)
class Euclidean(_LogitsLoss):
    """Squared distance `Σ_c (softmax(z)_c - t_c)²` of probabilities and one-hot label, 0 to 2.

    Also called the Brier score: Brier, "Verification of Forecasts Expressed in Terms of
    Probability", Monthly Weather Review, 1950.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns float32[batch]."""
        targets = _targets(y_true, y_pred, self.label_smoothing)
        return ops.sum(ops.square(ops.softmax(y_pred, axis=-1) - targets), axis=-1)


LOSSES = {"cross-entropy": CrossEntropy, "euclidean": Euclidean}
