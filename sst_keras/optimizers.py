"""The optimizers by name, with L2 in the gradient and a rate of their own for the embeddings.

Constants are PyTorch's where Keras has others, since the rates that the report and most papers
give were found with those: Adagrad's accumulator starts at 0, epsilons are small.

Adam and Adagrad run TensorFlow's own operations, one a weight, in place of Keras's dozen. Where a
step touches few rows of an embedding, Adagrad costs those rows alone, and so does `lazy-adam`;
`adam` moves all rows, the untouched ones by what their moments remember.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sst_keras.runtime import keras, tf
from sst_keras.settings import OPTIMIZERS, EmbeddingConfig, TrainingConfig


class _OneOperationAdam:
    """Adam's update in one operation, with the formula of the Keras class that it is mixed into."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight."""
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1**step,
            beta2_power=self.beta_2**step,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.convert_to_tensor(gradient),
        )


class Adam(_OneOperationAdam, keras.optimizers.Adam):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.

    All rows of an embedding move at every step, those too that the batch did not touch.
    """


class AdamW(_OneOperationAdam, keras.optimizers.AdamW):
    """Adam with decoupled weight decay: Loshchilov and Hutter, ICLR 2019."""


class LazyAdam(Adam):
    """Adam whose step costs of an embedding the rows that the batch touched, a slice each.

    Other rows stay where they are, and so do their moments, where Adam's moments decay and move
    the rows on at each step. A row that the batch touched moves as in Adam from the moments it has,
    with the correction for the number of all steps. PyTorch's `SparseAdam` does the same. With L2,
    which moves all rows, it is Adam.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight, or of an embedding the touched rows."""
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        rows, values = gradient.indices, gradient.values
        step = tf.cast(self.iterations + 1, variable.dtype)
        moments = []
        for moment, beta, value in (
            (self._momentums[index].value, self.beta_1, values),
            (self._velocities[index].value, self.beta_2, values**2),
        ):
            old = tf.gather(moment, rows)
            moments.append(old + (value - old) * (1 - beta))
            moment.scatter_update(tf.IndexedSlices(moments[-1], rows))
        m, v = moments
        rate = tf.cast(learning_rate, variable.dtype)
        rate *= tf.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)
        change = rate * m / (tf.sqrt(v) + self.epsilon)
        variable.scatter_sub(tf.IndexedSlices(change, rows))


class Adagrad(keras.optimizers.Adagrad):
    """Duchi et al., "Adaptive Subgradient Methods", JMLR 2011, with PyTorch's place of epsilon.

    Rows of an embedding that a batch does not touch stay by the formula itself, and cost nothing;
    those that it does have a slice each.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves one weight, or of an embedding the touched rows."""
        arguments = {
            "var": variable.handle,
            "accum": self._accumulators[self._get_variable_index(variable)].value.handle,
            "lr": tf.cast(learning_rate, variable.dtype),
            "epsilon": self.epsilon,
        }
        if isinstance(gradient, tf.IndexedSlices):
            tf.raw_ops.ResourceSparseApplyAdagradV2(
                grad=gradient.values, indices=gradient.indices, **arguments
            )
        else:
            tf.raw_ops.ResourceApplyAdagradV2(grad=gradient, **arguments)


_CLASSES: dict[str, tuple[type[keras.optimizers.Optimizer], dict[str, float | bool]]] = {
    "sgd": (keras.optimizers.SGD, {}),
    "momentum": (keras.optimizers.SGD, {"momentum": 0.9}),
    "nesterov": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (Adam, {"epsilon": 1e-8}),
    "lazy-adam": (LazyAdam, {"epsilon": 1e-8}),
    "adamw": (AdamW, {"epsilon": 1e-8}),
    "nadam": (keras.optimizers.Nadam, {"epsilon": 1e-8}),
    "adamax": (keras.optimizers.Adamax, {"epsilon": 1e-8}),
    "rmsprop": (keras.optimizers.RMSprop, {"rho": 0.99, "epsilon": 1e-8}),
    "adagrad": (Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 1e-10}),
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

        def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
            # Here, since Keras's clipping squares each slice of a row alone, and makes all of the
            # rows' slices one dense gradient.
            grads = [_summed_rows(g) if isinstance(g, tf.IndexedSlices) else g for g in grads]
            if clip_norm:
                grads, _ = tf.clip_by_global_norm(grads, clip_norm)
            super().apply(grads, trainable_variables)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if l2:
                gradient = tf.convert_to_tensor(gradient) + l2 * tf.convert_to_tensor(variable)
            super().update_step(gradient, variable, learning_rate)

    Optimizer.__name__ = base.__name__
    return Optimizer(
        learning_rate=learning_rate,
        # AdamW insists on a number; elsewhere None spares a pass over all weights.
        weight_decay=weight_decay or (0.0 if name == "adamw" else None),
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
