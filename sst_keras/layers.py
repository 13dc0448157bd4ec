"""The layers that Keras lacks: pooling over the real steps of a padded batch, masked convolution,
an embedding whose step costs the rows that it touches.

Those over time take a mask `bool[batch, time]`, true at real tokens. Padding never changes an
answer, and a row that is padding alone gives finite numbers. All of them run on each of Keras's
backends.
"""

from __future__ import annotations

from typing import Any

from sst_keras.runtime import keras

ops = keras.ops
_PACKAGE = "sst_keras"


def _mask_of(inputs: Any, mask: Any) -> Any:
    """Returns `mask` as the inputs' dtype[batch, time, 1]; ones where no mask was given."""
    if mask is None:
        return ops.ones_like(inputs[:, :, :1])
    return ops.expand_dims(ops.cast(mask, inputs.dtype), axis=-1)


def _lowest(tensor: Any) -> float:
    """Returns a number below all real ones; finite, so that a row of padding alone is not nan."""
    return -3e4 if keras.backend.standardize_dtype(tensor.dtype) == "float16" else -1e9


@keras.saving.register_keras_serializable(_PACKAGE)
class Embedding(keras.layers.Embedding):
    """`keras.layers.Embedding`, without a copy of the whole matrix at each step.

    TensorFlow copies a variable that is updated row by row whenever it is read as a whole, as the
    stock layer reads it; read row by row, it costs those rows.

    Call arguments:
        inputs: int32[batch, time], ids from 0.

    Output:
        float32[batch, time, output_dim].
    """

    def call(self, inputs: Any) -> Any:
        """Looks the rows up; see the class for inputs and output."""
        matrix = self.embeddings  # no variable where it is quantized or adapted
        if keras.backend.backend() != "tensorflow" or not isinstance(matrix, keras.Variable):
            return super().call(inputs)
        import tensorflow as tf

        return ops.cast(tf.gather(matrix.value, ops.cast(inputs, "int32")), self.compute_dtype)


class _MaskedPooling(keras.layers.Layer):
    """A layer that takes a mask, and pools time away."""

    def __init__(self, **kwargs: Any) -> None:
        """Makes the layer."""
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: no time is left to mask."""
        return None


@keras.saving.register_keras_serializable(_PACKAGE)
class FixedLength(keras.layers.Layer):
    """Fills each text up to one length with zeros, and drops the mask: padding reads as words do.

    This rebuilds a common mistake, an LSTM whose last step is padding's. As long as no text of a
    batch is beyond the length, a text's answer does not depend on its batch.

    Args:
        length: The fewest steps of the output.

    Call arguments:
        inputs: float32[batch, time, dim].
        mask: bool[batch, time], true at real steps; None where all are real.

    Output:
        float32[batch, max(time, length), dim], 0 at padding.
    """

    def __init__(self, length: int, **kwargs: Any) -> None:
        """Makes the layer; see the class for the argument."""
        super().__init__(**kwargs)
        if length < 1:
            raise ValueError(f"Expected `length` of at least 1. Received: length={length}")
        self.length = length
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Fills the texts up; see the class for arguments and output."""
        inputs = inputs * _mask_of(inputs, mask)
        zeros = ops.tile(ops.zeros_like(inputs[:, :1]), (1, self.length, 1))
        time = ops.shape(inputs)[1]  # a number, or in a graph a tensor
        steps = max(time, self.length) if isinstance(time, int) else ops.maximum(time, self.length)
        return ops.concatenate([inputs, zeros], axis=1)[:, :steps]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: whatever follows takes all steps for real."""
        return None

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns [batch, time, dim], with the time unknown where the input's is."""
        batch, time, dim = input_shape
        return batch, time and max(time, self.length), dim

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "length": self.length}


@keras.saving.register_keras_serializable(_PACKAGE)
class AttentionPooling(_MaskedPooling):
    """Attention with one learned key: a weighted sum over time, then a linear layer.

    With `X: float32[batch, time, dim]` the inputs, such as an LSTM's outputs:

    1. Queries `Q = X W_Q`, `float32[batch, time, units]`.
    2. Scores `Q K`, `float32[batch, time]`, with the key `K = W_K`, `float32[units]`, a weight of
       the layer that is not computed from `X`.
    3. Weights `A = softmax(Q K)` over the real steps; 0 at padding.
    4. Values `V = X W_V`, `float32[batch, time, units]`.
    5. Output `Linear(V A)`: the weighted sum of the values, `float32[batch, units]`, then a linear
       layer with a bias.

    A row that is padding alone has weights of 0, and so gives the linear layer's bias.

    Args:
        units: Width of queries, key, values and output.

    Call arguments:
        inputs: float32[batch, time, dim].
        mask: bool[batch, time], true at real steps; None where all are real.
        return_attention_scores: Whether to return the weights too.

    Output:
        float32[batch, units], or a pair of it and the weights float32[batch, time].

    Reference:
        "SST Classification with RNN (LSTM)", a short report; the learned key is the context vector
        of Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        """Makes the layer; see the class for the arguments."""
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"Expected `units` of at least 1. Received: units={units}")
        self.units = units

    def build(self, input_shape: tuple) -> None:
        """Makes the weights for inputs of shape [batch, time, dim]."""
        dim = input_shape[-1]
        self.query_kernel = self.add_weight(name="query_kernel", shape=(dim, self.units))
        self.key = self.add_weight(name="key", shape=(self.units, 1))
        self.value_kernel = self.add_weight(name="value_kernel", shape=(dim, self.units))
        self.output_kernel = self.add_weight(name="output_kernel", shape=(self.units, self.units))
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self.units,), initializer="zeros"
        )

    def call(self, inputs: Any, mask: Any = None, return_attention_scores: bool = False) -> Any:
        """Pools the real steps; see the class for arguments and output."""
        mask = _mask_of(inputs, mask)  # [batch, time, 1]
        # (X W_Q) K = X (W_Q K), and the sum of A (X W_V) over time = (sum of A X) W_V: the same
        # numbers without a product of the size of X for queries, and one for values.
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
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedAveragePooling(_MaskedPooling):
    """The mean over the real steps; 0 for a row that is padding alone.

    Call arguments:
        inputs: float32[batch, time, dim].
        mask: bool[batch, time], true at real steps; None where all are real.

    Output:
        float32[batch, dim].
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pools the real steps; see the class for arguments and output."""
        mask = _mask_of(inputs, mask)
        return ops.sum(inputs * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedMaxPooling(_MaskedPooling):
    """The maximum over the real steps; 0 for a row that is padding alone.

    Call arguments:
        inputs: float32[batch, time, dim].
        mask: bool[batch, time], true at real steps; None where all are real.

    Output:
        float32[batch, dim].
    """

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Pools the real steps; see the class for arguments and output."""
        mask = _mask_of(inputs, mask)
        highest = ops.max(ops.where(mask > 0, inputs, _lowest(inputs)), axis=1)  # [batch, dim]
        return ops.where(ops.max(mask, axis=1) > 0, highest, 0.0)


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedConv1D(keras.layers.Conv1D):
    """A convolution over time that reads zeros at padding, and so gives each step one answer.

    The output has the input's time, and its mask. Beyond a text's ends the convolution reads
    zeros, whether the batch has padding there or not.

    Args:
        filters: Number of filters.
        kernel_size: Width of the filters in steps.
        **kwargs: What `keras.layers.Conv1D` takes, except `padding`, which is `"same"`.

    Call arguments:
        inputs: float32[batch, time, dim].
        mask: bool[batch, time], true at real steps; None where all are real.

    Output:
        float32[batch, time, filters].
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any) -> None:
        """Makes the layer; see the class for the arguments."""
        super().__init__(filters, kernel_size, **{**kwargs, "padding": "same"})
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Convolves; see the class for arguments and output."""
        return super().call(inputs * _mask_of(inputs, mask))
