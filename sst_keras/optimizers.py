"""The optimizers by name, with L2 in the gradient and an optional separate rate for embeddings.

Constants are PyTorch's where Keras's differ, because most published learning rates assume them:
Adagrad's accumulator starts at 0, and epsilons are small.

Adam and Adagrad run one TensorFlow operation per weight instead of Keras's dozen. `adagrad` and
`lazy-adam` update only the rows of an embedding that a batch uses. With JAX or PyTorch, gradients
are dense: `adagrad` gives the same result then, and there is no `lazy-adam`. The same is true of
several devices that share each batch.
"""

from collections.abc import Sequence
from typing import Any

from sst_keras.errors import UsageError
from sst_keras.models import EMBEDDING
from sst_keras.runtime import keras, tf, uses_tensorflow
from sst_keras.settings import OPTIMIZERS, EmbeddingConfig, TrainingConfig

_Optimizer = keras.optimizers.Optimizer
_Rate = float | keras.optimizers.schedules.LearningRateSchedule


class Adam(keras.optimizers.Adam):
    """Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight."""
        if not uses_tensorflow():
            super().update_step(gradient, variable, learning_rate)
            return
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


class LazyAdam(Adam):
    """PyTorch's `SparseAdam`: Adam that updates only the rows of an embedding that a batch uses.

    Other rows and their moments do not change; in Adam, their moments decay and keep moving them.
    Used rows move as in Adam, with the bias correction for the total number of steps. With L2,
    which changes all rows, it is Adam.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight."""
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
    """Duchi et al., "Adaptive Subgradient Methods", JMLR 2011, with epsilon where PyTorch has it.

    Rows of an embedding that a batch does not use have a gradient of 0 and cost nothing.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one weight."""
        accumulator = self._accumulators[self._get_variable_index(variable)]
        if not uses_tensorflow():
            accumulator.assign(accumulator + gradient * gradient)
            change = learning_rate * gradient / (keras.ops.sqrt(accumulator) + self.epsilon)
            variable.assign(variable - change)
            return
        arguments = {
            "var": variable.handle,
            "accum": accumulator.value.handle,
            "lr": tf.cast(learning_rate, variable.dtype),
            "epsilon": self.epsilon,
        }
        if isinstance(gradient, tf.IndexedSlices):
            tf.raw_ops.ResourceSparseApplyAdagradV2(
                grad=gradient.values, indices=gradient.indices, **arguments
            )
        else:
            tf.raw_ops.ResourceApplyAdagradV2(grad=gradient, **arguments)


_CLASSES = {
    "sgd": (keras.optimizers.SGD, {}),
    "momentum": (keras.optimizers.SGD, {"momentum": 0.9}),
    "nesterov": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (Adam, {"epsilon": 1e-8}),
    "lazy-adam": (LazyAdam, {"epsilon": 1e-8}),
    "adamw": (Adam, {"epsilon": 1e-8}),  # any optimizer can decay: see `make_optimizer`
    "nadam": (keras.optimizers.Nadam, {"epsilon": 1e-8}),
    "adamax": (keras.optimizers.Adamax, {"epsilon": 1e-8}),
    "rmsprop": (keras.optimizers.RMSprop, {"rho": 0.99, "epsilon": 1e-8}),
    "adagrad": (Adagrad, {"initial_accumulator_value": 0.0, "epsilon": 1e-10}),
    "adadelta": (keras.optimizers.Adadelta, {"rho": 0.9, "epsilon": 1e-6}),
    "ftrl": (keras.optimizers.Ftrl, {}),
    "lion": (keras.optimizers.Lion, {}),
}


def make_optimizer(
    name: str, learning_rate: _Rate, l2: float = 0, weight_decay: float = 0, clip_norm: float = 0
) -> _Optimizer:
    """Makes an optimizer by its name, one of `settings.OPTIMIZERS`.

    First, gradients whose global norm is above `clip_norm` are scaled down to it, unless it is 0.
    Then `l2 · w` is added to the gradient of each weight `w`, as PyTorch's `weight_decay` does in
    Adam and SGD. `weight_decay` is decoupled: each step takes `learning_rate · weight_decay · w`
    from `w`, as in Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.

    Raises:
        ValueError: If the name is unknown.
        UsageError: If it is `lazy-adam`, and Keras does not compute with TensorFlow on one device.
    """
    if name not in _CLASSES:
        raise ValueError(f"Expected one of {', '.join(OPTIMIZERS)}. Received: name={name!r}")
    if name == "lazy-adam" and (replicas() > 1 or not uses_tensorflow()):
        raise UsageError(
            "lazy-adam needs sparse gradients, which only TensorFlow on one device has. Expected "
            "another optimizer, such as adam."
        )
    base, constants = _CLASSES[name]

    class Optimizer(base):
        """`base` with clipping, L2, and the slices of a repeated row added up."""

        def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
            if not uses_tensorflow():
                super().apply(grads, trainable_variables)
                return
            if replicas() > 1:
                replica = tf.distribute.get_replica_context()
                grads = replica.all_reduce(tf.distribute.ReduceOp.SUM, list(map(_dense, grads)))
            # Keras's clipping would square each slice of a row and make the gradient dense.
            grads = [_summed_rows(g) if isinstance(g, tf.IndexedSlices) else g for g in grads]
            if clip_norm:
                grads, _ = tf.clip_by_global_norm(grads, clip_norm)
            super().apply(grads, trainable_variables)

        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
            return grads_and_vars  # they are: clipping needs the sums over all devices

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            if l2:
                gradient = _dense(gradient) + l2 * _dense(variable)
            super().update_step(gradient, variable, learning_rate)

    Optimizer.__name__ = base.__name__
    if clip_norm and not uses_tensorflow():
        constants = {**constants, "global_clipnorm": clip_norm}
    # A decay of None saves a pass over all weights.
    return Optimizer(learning_rate=learning_rate, weight_decay=weight_decay or None, **constants)


def replicas() -> int:
    """Returns how many devices share each batch, where a strategy's scope is open; else 1."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def _dense(value: Any) -> Any:
    """Returns a variable or a gradient, perhaps of single rows, as a tensor."""
    convert = tf.convert_to_tensor if uses_tensorflow() else keras.ops.convert_to_tensor
    return convert(value)


def _summed_rows(gradient: tf.IndexedSlices) -> tf.IndexedSlices:
    """Returns the gradient with one slice per row.

    A word that occurs twice in a batch has two slices. Keras's optimizers would square each of them
    instead of their sum.
    """
    rows, places = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, places, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def has_own_rate(embedding: EmbeddingConfig) -> bool:
    """Returns whether the embeddings train with their own learning rate."""
    return embedding.trainable and embedding.learning_rate > 0


class GroupedOptimizer(keras.optimizers.MultiOptimizer):
    """The optimizer `own` for the weight `member`, and `default` for all others."""

    def __init__(self, default: _Optimizer, own: _Optimizer, member: keras.Variable) -> None:
        super().__init__(lambda variable: own if variable is member else default)
        self.groups = (default, own)


def scheduled(rate: float, schedule: str, steps: int) -> _Rate:
    """Returns a learning rate that falls to 0 over `steps` batches, or stays `constant`.

    `linear` falls at a constant pace, `cosine` as half a period of a cosine: Loshchilov and Hutter,
    "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017.
    """
    if schedule == "linear":
        return keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    return keras.optimizers.schedules.CosineDecay(rate, steps) if schedule == "cosine" else rate


def pipeline_optimizer(
    training: TrainingConfig, embedding: EmbeddingConfig, model: keras.Model, steps: int
) -> _Optimizer:
    """Makes a pipeline's optimizer, for a training of `steps` batches.

    Embeddings with their own learning rate have their own optimizer, without L2 or decay: both
    would pull every word's vector to zero, including words that never occur. Each of the two
    optimizers clips its own gradients.
    """
    name, clip_norm = training.optimizer, training.clip_norm
    rate = scheduled(training.learning_rate, training.schedule, steps)
    default = make_optimizer(name, rate, training.l2, training.weight_decay, clip_norm)
    layer = model.get_layer(EMBEDDING)
    if not (has_own_rate(embedding) and layer.trainable):
        return default
    rate = scheduled(embedding.learning_rate, training.schedule, steps)
    own = make_optimizer(embedding.optimizer, rate, clip_norm=clip_norm)
    return GroupedOptimizer(default, own, layer.embeddings)
