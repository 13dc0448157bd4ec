"""The layers that Keras lacks: pooling and convolution that respect padding, and an embedding that
does not copy its matrix.

All but the embedding are called with inputs `float32[batch, time, dim]` and a mask
`bool[batch, time]`, true at real steps, or None if all steps are real. Padding never changes an
output, and a row of only padding gives finite numbers. The layers use `keras.ops` and are tested
with TensorFlow.
"""

from __future__ import annotations

from typing import Any

from sst_keras.runtime import keras, tf

ops = keras.ops
_PACKAGE = "sst_keras"


def _mask_of(inputs: Any, mask: Any) -> Any:
    """Returns `mask` as the inputs' dtype[batch, time, 1]; ones without a mask."""
    if mask is None:
        return ops.ones_like(inputs[:, :, :1])
    return ops.expand_dims(ops.cast(mask, inputs.dtype), axis=-1)


def _lowest(tensor: Any) -> float:
    """Returns a number below all real ones, but finite: infinity turns a row of padding to nan."""
    return -3e4 if keras.backend.standardize_dtype(tensor.dtype) == "float16" else -1e9


@keras.saving.register_keras_serializable(_PACKAGE)
class Embedding(keras.layers.Embedding):
    """`keras.layers.Embedding` that reads only the rows it needs.

    The stock layer reads the full matrix, which TensorFlow copies at each step if an optimizer
    updates it row by row.
    """

    def call(self, inputs: Any) -> Any:
        """Returns float32[batch, time, output_dim] for ids int32[batch, time]."""
        matrix = self.embeddings
        if not isinstance(matrix, keras.Variable):  # quantized, or with a LoRA adapter
            return super().call(inputs)
        return ops.cast(tf.gather(matrix.value, ops.cast(inputs, "int32")), self.compute_dtype)


class _MaskedPooling(keras.layers.Layer):
    """A layer that takes a mask and pools over time."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None  # the output has no time


@keras.saving.register_keras_serializable(_PACKAGE)
class FixedLength(keras.layers.Layer):
    """Pads each text with zeros to a fixed length and drops the mask, so padding is read as words.

    This reproduces a common mistake: an LSTM whose last step is padding. A text's output does not
    depend on the rest of its batch unless a text is longer than `length`.

    Args:
        length: The minimal number of steps in the output.
    """

    def __init__(self, length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if length < 1:
            raise ValueError(f"Expected `length` of at least 1. Received: length={length}")
        self.length = length
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns float32[batch, max(time, length), dim], 0 at padding."""
        inputs = inputs * _mask_of(inputs, mask)
        zeros = ops.tile(ops.zeros_like(inputs[:, :1]), (1, self.length, 1))
        time = ops.shape(inputs)[1]  # an int, or a tensor in a graph
        steps = max(time, self.length) if isinstance(time, int) else ops.maximum(time, self.length)
        return ops.concatenate([inputs, zeros], axis=1)[:, :steps]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: the layers that follow treat all steps as real."""
        return None

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns [batch, time, dim]; time is None if the input's is."""
        batch, time, dim = input_shape
        return batch, time and max(time, self.length), dim

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable(_PACKAGE)
class AttentionPooling(_MaskedPooling):
    """Attention with one learned key: a weighted sum over time, then a linear layer.

    With `X: float32[batch, time, dim]` the inputs, such as an LSTM's outputs:

    1. Queries `Q = X W_Q`, `float32[batch, time, units]`.
    2. Scores `Q K`, `float32[batch, time]`. The key `K = W_K`, `float32[units]`, is a weight of the
       layer and is not computed from `X`.
    3. Weights `A = softmax(Q K)` over the real steps; 0 at padding.
    4. Values `V = X W_V`, `float32[batch, time, units]`.
    5. Output `Linear(V A)`: the weighted sum of the values, `float32[batch, units]`, through a
       linear layer with a bias.

    A row of only padding has weights of 0, so its output is the linear layer's bias.

    Args:
        units: Width of queries, key, values and output.

    Reference:
        "SST Classification with RNN (LSTM)", a short report; the learned key is the context vector
        of Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"Expected `units` of at least 1. Received: units={units}")
        self.units = units

    def build(self, input_shape: tuple) -> None:
        """Creates the weights for inputs of shape [batch, time, dim]."""
        dim = input_shape[-1]
        self.query_kernel = self.add_weight(name="query_kernel", shape=(dim, self.units))
        self.key = self.add_weight(name="key", shape=(self.units, 1))
        self.value_kernel = self.add_weight(name="value_kernel", shape=(dim, self.units))
        self.output_kernel = self.add_weight(name="output_kernel", shape=(self.units, self.units))
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self.units,), initializer="zeros"
        )

    def call(self, inputs: Any, mask: Any = None, return_attention_scores: bool = False) -> Any:
        """Returns float32[batch, units], and if asked for the weights `A`, float32[batch, time]."""
        mask = _mask_of(inputs, mask)  # [batch, time, 1]
        # (X W_Q) K = X (W_Q K), and the sum of A (X W_V) over time = (sum of A X) W_V. The right
        # sides avoid computing queries and values for each step.
        query = ops.matmul(self.query_kernel, self.key)  # [dim, 1]
        scores = ops.matmul(inputs, query)  # [batch, time, 1]
        weights = ops.softmax(ops.where(mask > 0, scores, _lowest(scores)), axis=1) * mask
        pooled = ops.matmul(ops.swapaxes(weights, 1, 2), inputs)[:, 0]  # [batch, dim]
        values = ops.matmul(pooled, self.value_kernel)  # [batch, units]
        outputs = ops.matmul(values, self.output_kernel) + self.output_bias
        if return_attention_scores:
            return outputs, ops.squeeze(weights, axis=-1)
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedAveragePooling(_MaskedPooling):
    """The mean over the real steps; 0 for a row of only padding."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns float32[batch, dim]."""
        mask = _mask_of(inputs, mask)
        return ops.sum(inputs * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedMaxPooling(_MaskedPooling):
    """The maximum over the real steps; 0 for a row of only padding."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns float32[batch, dim]."""
        mask = _mask_of(inputs, mask)
        highest = ops.max(ops.where(mask > 0, inputs, _lowest(inputs)), axis=1)  # [batch, dim]
        return ops.where(ops.max(mask, axis=1) > 0, highest, 0.0)


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedConv1D(keras.layers.Conv1D):
    """A convolution over time that reads padding as zeros.

    A text's output therefore does not depend on how much padding the batch has. The output keeps
    the input's time and mask.

    Args:
        filters: Number of filters.
        kernel_size: Width of the filters in steps.
        **kwargs: Other arguments of `keras.layers.Conv1D`; `padding` is always `"same"`.
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size, **{**kwargs, "padding": "same"})
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns float32[batch, time, filters]."""
        return super().call(inputs * _mask_of(inputs, mask))
