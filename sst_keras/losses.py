"""The losses by name, and the macro F1, on logits and integer labels."""

from typing import Any

from sst_keras.runtime import keras

ops = keras.ops


def _targets(y_true: Any, y_pred: Any) -> Any:
    """Returns float32[batch, classes], 1 at each label and 0 elsewhere.

    Targets float32[batch, classes] in place of labels int32[batch] are returned as they are.
    """
    classes = y_pred.shape[-1]
    if len(y_true.shape) == 2 and y_true.shape[-1] == classes:
        return ops.cast(y_true, y_pred.dtype)
    labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
    return ops.one_hot(labels, classes, dtype=y_pred.dtype)


class _LogitsLoss(keras.losses.Loss):
    """A loss on logits float32[batch, classes] and labels int32[batch], from 0.

    It also takes probabilities of the classes, float32[batch, classes], as labels.
    `label_smoothing` is the share `s` of each label that is spread evenly over all `n` classes:
    Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.
    """

    def __init__(self, label_smoothing: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns float32[batch]. Targets are `1 - s + s / n` at the label, else `s / n`."""
        share = self.label_smoothing
        targets = _targets(y_true, y_pred) * (1.0 - share) + share / y_pred.shape[-1]
        return self._losses(targets, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable("sst_keras")
class CrossEntropy(_LogitsLoss):
    """Cross entropy `-Σ_c t_c log softmax(z)_c` with the smoothed one-hot label `t`, in nats."""

    def _losses(self, targets: Any, logits: Any) -> Any:
        return -ops.sum(targets * ops.log_softmax(logits, axis=-1), axis=-1)


@keras.saving.register_keras_serializable("sst_keras")
class Euclidean(_LogitsLoss):
    """Squared distance `Σ_c (softmax(z)_c - t_c)²` of probabilities and one-hot label, 0 to 2.

    Also called the Brier score: Brier, "Verification of Forecasts Expressed in Terms of
    Probability", Monthly Weather Review, 1950.
    """

    def _losses(self, targets: Any, logits: Any) -> Any:
        return ops.sum(ops.square(ops.softmax(logits, axis=-1) - targets), axis=-1)


@keras.saving.register_keras_serializable("sst_keras")
class EarthMover(_LogitsLoss):
    """Squared earth mover's distance `Σ_c (P_c - T_c)²`, 0 to `n - 1`, for ordered classes.

    `P_c` and `T_c` are the sums of probabilities and targets up to class `c`. An error costs more
    the further it is from the label. Source: Hou, Yu and Samaras, "Squared Earth Mover's
    Distance-based Loss for Training Deep Neural Networks", 2016.
    """

    def _losses(self, targets: Any, logits: Any) -> Any:
        difference = ops.softmax(logits, axis=-1) - targets
        return ops.sum(ops.square(ops.cumsum(difference, axis=-1)), axis=-1)


LOSSES = {"cross-entropy": CrossEntropy, "euclidean": Euclidean, "earth-mover": EarthMover}


class MacroF1(keras.metrics.F1Score):
    """Unweighted mean of the classes' F1; a class never true and never predicted counts as 0.

    It is `Metrics.macro_f1` of all batches since the last reset.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(average="macro", **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of labels int32[batch], or targets, and logits float32[batch, classes]."""
        labels = ops.argmax(_targets(y_true, y_pred), axis=-1)
        found = [ops.one_hot(each, y_pred.shape[-1]) for each in (labels, ops.argmax(y_pred, -1))]
        super().update_state(*found, sample_weight)


class Accuracy(keras.metrics.Mean):
    """The share of rows whose greatest logit is at the label, or at the greatest target."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch of labels int32[batch], or targets, and logits float32[batch, classes]."""
        labels = ops.argmax(_targets(y_true, y_pred), axis=-1)
        super().update_state(ops.equal(labels, ops.argmax(y_pred, axis=-1)), sample_weight)
