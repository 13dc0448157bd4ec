"""The optimizers by name, with L2 in the gradient and a rate of their own for the embeddings.

Constants are PyTorch's where Keras has others, since the rates that the report and most papers
give were found with those: Adagrad's accumulator starts at 0, epsilons are small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from sst_keras.config import OPTIMIZERS, EmbeddingConfig, TrainingConfig

_CLASSES: dict[str, tuple[type[keras.optimizers.Optimizer], dict[str, float | bool]]] = {
    "sgd": (keras.optimizers.SGD, {}),
    "momentum": (keras.optimizers.SGD, {"momentum": 0.9}),
    "nesterov": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (keras.optimizers.Adam, {"epsilon": 1e-8}),
    "adamw": (keras.optimizers.AdamW, {"epsilon": 1e-8}),
    "nadam": (keras.optimizers.Nadam, {"epsilon": 1e-8}),
    "adamax": (keras.optimizers.Adamax, {"epsilon": 1e-8}),
    "rmsprop": (keras.optimizers.RMSprop, {"rho": 0.99, "epsilon": 1e-8}),
    # Keras adds epsilon under the square root, PyTorch outside of it.
    "adagrad": (keras.optimizers.Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 1e-20}),
    "adadelta": (keras.optimizers.Adadelta, {"rho": 0.9, "epsilon": 1e-6}),
    "ftrl": (keras.optimizers.Ftrl, {}),
    "lion": (keras.optimizers.Lion, {}),
}


def make_optimizer(
    name: str,
    learning_rate: float,
    l2: float = 0.0,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> keras.optimizers.Optimizer:
    """Makes an optimizer.

    Args:
        name: One of `config.OPTIMIZERS`.
        learning_rate: The step size.
        l2: λ in `g + λ w`, added to the gradient before the optimizer sees it, and after clipping,
            for every weight. PyTorch's `weight_decay` of Adam and SGD.
        weight_decay: Decoupled decay, Loshchilov and Hutter, "Decoupled Weight Decay
            Regularization", ICLR 2019: `w ← w - learning_rate · weight_decay · w` each step.
        clip_norm: Bound of the gradients' global norm; 0 for none.

    Raises:
        ValueError: If there is no such optimizer.
    """
    if name not in _CLASSES:
        raise ValueError(f"Expected one of {', '.join(OPTIMIZERS)}. Received: name={name!r}")
    base, constants = _CLASSES[name]

    class Optimizer(base):
        """`base`, with L2 in the gradient, right where a row of an embedding occurs twice."""

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if l2:
                gradient = tf.convert_to_tensor(gradient) + l2 * tf.convert_to_tensor(variable)
            elif isinstance(gradient, tf.IndexedSlices):
                gradient = _summed_rows(gradient)
            super().update_step(gradient, variable, learning_rate)

    Optimizer.__name__ = base.__name__
    return Optimizer(
        learning_rate=learning_rate,
        # AdamW insists on a number; elsewhere None spares a pass over all weights.
        weight_decay=weight_decay or (0.0 if name == "adamw" else None),
        global_clipnorm=clip_norm or None,
        **constants,
    )


def _summed_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns the gradient with one slice a row.

    A word that occurs twice in a batch has two slices, and Keras's optimizers square each of them
    alone, where the square of their sum is meant.
    """
    rows, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def has_own_rate(embedding: EmbeddingConfig) -> bool:
    """Returns whether the embeddings train at a rate of their own."""
    return embedding.trainable and embedding.learning_rate > 0


class GroupedOptimizer(keras.optimizers.MultiOptimizer):
    """An optimizer for most weights, and one for a group of weights.

    Args:
        default: For all weights but the group's.
        own: For the group's.
        group: The group's weights.
    """

    def __init__(
        self,
        default: keras.optimizers.Optimizer,
        own: keras.optimizers.Optimizer,
        group: Sequence[keras.Variable],
    ) -> None:
        """Makes the optimizer; see the class for the arguments."""
        members = {id(variable) for variable in group}
        super().__init__(lambda variable: own if id(variable) in members else default)
        self.groups = (default, own)


def pipeline_optimizer(
    training: TrainingConfig, embedding: EmbeddingConfig, model: keras.Model
) -> keras.optimizers.Optimizer:
    """Makes the optimizer that a pipeline asks for.

    Where the embeddings have a rate of their own, so have they an optimizer of their own, without
    L2 or decay, which would pull the vectors of all words to zero, those that never occur too.
    Each of the two clips its own gradients.
    """
    default = make_optimizer(
        training.optimizer,
        training.learning_rate,
        training.l2,
        training.weight_decay,
        training.clip_norm,
    )
    if not has_own_rate(embedding):
        return default
    own = make_optimizer(embedding.optimizer, embedding.learning_rate, clip_norm=training.clip_norm)
    return GroupedOptimizer(default, own, [model.get_layer("embedding").embeddings])
