"""The layers that Keras lacks: pooling and convolution that respect padding, an embedding that does
not copy its matrix, and what puts several classifiers together.

Those that pool or convolve are called with inputs `float32[batch, time, dim]` and a mask
`bool[batch, time]`, true at real steps, or None if all steps are real. Padding never changes an
output, and a row of only padding gives finite numbers.
"""

from typing import Any

from sst_keras.runtime import keras, tf, uses_tensorflow

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
        is_stock = not isinstance(matrix, keras.Variable)  # quantized, or with a LoRA adapter
        if is_stock or not uses_tensorflow():
            return super().call(inputs)
        return ops.cast(tf.gather(matrix.value, ops.cast(inputs, "int32")), self.compute_dtype)


@keras.saving.register_keras_serializable(_PACKAGE)
class WordDropout(keras.layers.Layer):
    """Replaces each word by the unknown word with probability `rate` in training.

    Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", ACL
    2015, drop words from their averages in this way. Padding stays.
    """

    def __init__(self, rate: float, unknown_id: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.unknown_id = rate, unknown_id
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns int32[batch, time] for ids int32[batch, time]; padding is 0."""
        if not training:
            return inputs
        drawn = keras.random.uniform(ops.shape(inputs), seed=self.seed_generator)
        dropped = ops.logical_and(drawn < self.rate, inputs != 0)
        return ops.where(dropped, self.unknown_id, inputs)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "rate": self.rate, "unknown_id": self.unknown_id}


class _MaskConsumer(keras.layers.Layer):
    """A layer that takes a mask. Its output has none: the layers that follow read all of it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


@keras.saving.register_keras_serializable(_PACKAGE)
class FixedLength(_MaskConsumer):
    """Pads each text with zeros to at least `length` steps, which are then read as words.

    This reproduces a common mistake: an LSTM whose last step is padding. A text's output does not
    depend on the rest of its batch unless a text is longer than `length`.
    """

    def __init__(self, length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if length < 1:
            raise ValueError(f"Expected `length` of at least 1. Received: length={length}")
        self.length = length

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns float32[batch, max(time, length), dim], 0 at padding."""
        inputs = inputs * _mask_of(inputs, mask)
        zeros = ops.tile(ops.zeros_like(inputs[:, :1]), (1, self.length, 1))
        time = ops.shape(inputs)[1]  # an int, or a tensor in a graph
        steps = max(time, self.length) if isinstance(time, int) else ops.maximum(time, self.length)
        return ops.concatenate([inputs, zeros], axis=1)[:, :steps]

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns [batch, time, dim]; time is None if the input's is."""
        batch, time, dim = input_shape
        return batch, time and max(time, self.length), dim


@keras.saving.register_keras_serializable(_PACKAGE)
class AttentionPooling(_MaskConsumer):
    """Attention with one learned key: a weighted sum over time, then a linear layer.

    With `X: float32[batch, time, dim]` the inputs, such as an LSTM's outputs:

    1. Queries `Q = X W_Q`, `float32[batch, time, units]`.
    2. Scores `Q K`, `float32[batch, time]`. The key `K = W_K`, `float32[units]`, is a weight of the
       layer and is not computed from `X`.
    3. Weights `A = softmax(Q K)` over the real steps; 0 at padding.
    4. Values `V = X W_V`, `float32[batch, time, units]`.
    5. Output `Linear(V A)`: the weighted sum of the values, `float32[batch, units]`, through a
       linear layer with a bias. For a row of only padding, it is the bias.

    Source: "SST Classification with RNN (LSTM)", a short report. Its key is the context vector of
    Yang et al., "Hierarchical Attention Networks for Document Classification", NAACL 2016.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"Expected `units` of at least 1. Received: units={units}")
        self.units = units

    def build(self, input_shape: tuple) -> None:
        """Creates the weights for inputs of shape [batch, time, dim]."""
        dim, units = input_shape[-1], self.units
        self.query_kernel = self.add_weight((dim, units), name="query_kernel")
        self.key = self.add_weight((units, 1), name="key")
        self.value_kernel = self.add_weight((dim, units), name="value_kernel")
        self.output_kernel = self.add_weight((units, units), name="output_kernel")
        self.output_bias = self.add_weight((units,), "zeros", name="output_bias")

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
        return (outputs, ops.squeeze(weights, axis=-1)) if return_attention_scores else outputs


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedAveragePooling(_MaskConsumer):
    """The mean over the real steps; 0 for a row of only padding."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns float32[batch, dim]."""
        mask = _mask_of(inputs, mask)
        return ops.sum(inputs * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)


@keras.saving.register_keras_serializable(_PACKAGE)
class MaskedMaxPooling(_MaskConsumer):
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
    the input's time and mask. The arguments are those of `keras.layers.Conv1D`; `padding`
    must be "same".
    """

    def __init__(
        self, filters: int, kernel_size: int, padding: str = "same", **kwargs: Any
    ) -> None:
        if padding != "same":
            raise ValueError(f"Expected `padding='same'`. Received: {padding=}")
        super().__init__(filters, kernel_size, padding=padding, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """Returns float32[batch, time, filters]."""
        return super().call(inputs * _mask_of(inputs, mask))


@keras.saving.register_keras_serializable(_PACKAGE)
class Lookup(keras.layers.Layer):
    """Turns the ids of one vocabulary into those of another, by a table int32[input_dim]."""

    def __init__(self, input_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if input_dim < 1:
            raise ValueError(f"Expected `input_dim` of at least 1. Received: {input_dim=}")
        self.input_dim = input_dim

    def build(self, input_shape: tuple) -> None:
        """Creates the table, as a weight that does not train."""
        self.table = self.add_weight(
            (self.input_dim,), "zeros", dtype="int32", trainable=False, name="table"
        )

    def call(self, inputs: Any) -> Any:
        """Returns int32[batch, time] for ids int32[batch, time]."""
        return ops.take(self.table, inputs, axis=0)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "input_dim": self.input_dim}


@keras.saving.register_keras_serializable(_PACKAGE)
class MeanOfMembers(keras.layers.Layer):
    """The mean of several classifiers' probabilities, and of their attention.

    The logits are `log(mean of the members' softmax(logits)) / temperature`. The temperature is a
    weight that does not train, at first 1. Source: Hansen and Salamon, "Neural Network Ensembles",
    IEEE Transactions on Pattern Analysis and Machine Intelligence 12 (1990).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.temperature = self.add_weight((), "ones", trainable=False, name="temperature")

    def call(self, inputs: Any, attention: Any = ()) -> Any:
        """Returns logits float32[batch, classes] for a list of members' logits of that shape.

        With `attention`, a list of float32[batch, time], also their mean, as a pair.
        """
        probabilities = ops.stack([ops.softmax(logits, axis=-1) for logits in inputs])
        smallest = 1e-12  # the logarithm of 0 would be infinite
        mean = ops.maximum(ops.mean(probabilities, axis=0), smallest)
        logits = ops.log(mean) / self.temperature
        return (logits, ops.mean(ops.stack(list(attention)), axis=0)) if attention else logits
