"""The LSTM layer: `keras.layers.LSTM`, with less work for a CPU.

The gradients of both kernels are one product each over all steps, where the stock layer forms one a
step; the gates are saved for them; masks cost no step anything. A batch goes in two halves, each a
chain of small products on a core of its own, where the one chain of a whole batch would have the
cores wait for each other at each step; this pays most where TensorFlow runs two operations at a
time, each with half of the cores. Where there is a GPU the stock layer does the work, with cuDNN.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

# Rows of a batch that are worth two halves when there are no gradients to form.
_ROWS = 16
# Far enough below zero for a gate to be shut: the sigmoid of it is 0.
_SHUT = -1e4


@keras.saving.register_keras_serializable("sst_keras")
class LSTM(keras.layers.LSTM):
    """An LSTM with the equations, weights and arguments of `keras.layers.LSTM`.

    Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997, with the forget
    gate of Gers et al., "Learning to Forget", 2000. Weights can be exchanged with the stock layer
    both ways.

    With a mask, real steps come first in each row, as in all batches of this package; that is not
    checked. At padding the outputs are finite, and not the stock layer's, which repeats the last
    real one. With arguments that the fast way does not have (an initial or returned state,
    dropout inside of the layer, other activations) the layer is the stock one.

    Args:
        units: Width of state and output.
        matmul_dtype: `"float32"`, or `"bfloat16"` for matrix products of numbers rounded to 8 bits
            of precision, faster on processors that have them; sums of states and the weights
            themselves stay as they are. On a GPU it changes nothing.
        **kwargs: What `keras.layers.LSTM` takes.

    Call arguments:
        sequences: float32[batch, time, dim].
        mask: bool[batch, time], true at real steps; None where all are real.

    Output:
        float32[batch, time, units] where `return_sequences`, else float32[batch, units]: the last
        real step's output, or zeros for a row without any.
    """

    def __init__(self, units: int, matmul_dtype: str = "float32", **kwargs: Any) -> None:
        """Makes the layer; see the class for the arguments."""
        super().__init__(units, **kwargs)
        self.matmul_dtype = matmul_dtype

    def call(
        self,
        sequences: Any,
        initial_state: Any = None,
        mask: Any = None,
        training: bool = False,
    ) -> Any:
        """Runs the layer; see the class for arguments and output."""
        if initial_state is not None or not self._is_fast():
            return super().call(sequences, initial_state, mask, training)
        sequences = tf.convert_to_tensor(sequences)
        mask = None if mask is None else tf.convert_to_tensor(mask)
        weights = (self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias)
        weights = tuple(tf.convert_to_tensor(weight) for weight in weights)
        batch = tf.shape(sequences)[0]

        def in_halves() -> tf.Tensor:
            sizes = [batch // 2, batch - batch // 2]
            halves = tf.split(sequences, sizes)
            masks = (None, None) if mask is None else tf.split(mask, sizes)
            outputs = [
                self._run(half, half_mask, weights, training)
                for half, half_mask in zip(halves, masks, strict=True)
            ]
            return tf.concat(outputs, axis=0)

        if training:
            return in_halves()
        return tf.cond(
            batch >= _ROWS, in_halves, lambda: self._run(sequences, mask, weights, training)
        )

    def _run(
        self, sequences: tf.Tensor, mask: tf.Tensor | None, weights: Any, training: bool
    ) -> tf.Tensor:
        """Runs some rows of a batch; see the class for the shapes."""
        inputs = tf.transpose(sequences, (1, 0, 2))  # [time, batch, dim]
        shut = None
        if self.go_backwards:
            inputs = tf.reverse(inputs, [0])
            if mask is not None:
                # Padding comes first now. Its input gate is shut, and so the state stays 0.
                shut = tf.reverse(tf.transpose(tf.cast(tf.logical_not(mask), inputs.dtype)), [0])
        outputs = _lstm(inputs, *weights, shut, self.matmul_dtype, training)  # [time, batch, units]
        if self.return_sequences:
            return tf.transpose(outputs, (1, 0, 2))
        if mask is None or self.go_backwards:
            return outputs[-1]
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # [batch]
        rows = tf.range(tf.shape(lengths)[0])
        last = tf.gather_nd(outputs, tf.stack([tf.maximum(lengths - 1, 0), rows], axis=1))
        return last * tf.cast(lengths > 0, last.dtype)[:, tf.newaxis]

    def _is_fast(self) -> bool:
        """Returns whether the fast way has all that the layer was asked for."""
        return (
            keras.backend.backend() == "tensorflow"
            and not tf.config.list_physical_devices("GPU")
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and self.use_bias
            and not (self.return_state or self.stateful)
            and not (self.dropout or self.recurrent_dropout)
            and self.compute_dtype == "float32"
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that make the layer again."""
        return {**super().get_config(), "matmul_dtype": self.matmul_dtype}


def _lstm(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    shut: tf.Tensor | None,
    matmul_dtype: str,
    training: bool,
) -> tf.Tensor:
    """Runs an LSTM over time, from a state of zeros.

    Args:
        inputs: float32[time, batch, dim].
        kernel: float32[dim, 4 units]; gates in Keras's order i, f, g, o.
        recurrent_kernel: float32[units, 4 units].
        bias: float32[4 units].
        shut: float32[time, batch], 1 at steps before a row's first; None for none.
        matmul_dtype: The dtype that matrix products are done in.
        training: Whether to save what a fast gradient needs; without it, TensorFlow's own is there.

    Returns:
        float32[time, batch, units].
    """
    time, batch = tf.shape(inputs)[0], tf.shape(inputs)[1]
    dim, units = inputs.shape[2], recurrent_kernel.shape[0]

    def rounded(matrix: tf.Tensor) -> tf.Tensor:
        return tf.cast(matrix, matmul_dtype)

    def matmul(left: tf.Tensor, right: tf.Tensor, **transposed: bool) -> tf.Tensor:
        return tf.cast(tf.matmul(rounded(left), rounded(right), **transposed), inputs.dtype)

    def run(body: Any, values: tuple) -> tuple:
        """Runs `body(step, *values)` for each step."""

        def turn(t: tf.Tensor, *values: Any) -> tuple:
            return t + 1, *body(t, *values)

        _, *values = tf.while_loop(
            lambda t, *_: t < time, turn, (tf.constant(0), *values), parallel_iterations=1
        )
        return tuple(values)

    def array(dtype: str = "float32") -> tf.TensorArray:
        return tf.TensorArray(dtype, time, element_shape=(None, None))

    zeros = tf.zeros((batch, units), inputs.dtype)

    def forward(inputs: Any, kernel: Any, recurrent_kernel: Any, bias: Any, kept: int) -> list:
        """Runs all steps; returns arrays of the last `kept` of i, f, g, o, c before, tanh(c), h."""
        flat = tf.reshape(inputs, (-1, dim))  # [time · batch, dim]
        projected = tf.reshape(matmul(flat, kernel) + bias, (time, batch, 4 * units))
        if shut is not None:
            gates = tf.constant([_SHUT] * units + [0.0] * 3 * units)
            projected += shut[:, :, tf.newaxis] * gates
        recurrent = rounded(recurrent_kernel)

        def step(t: Any, h: Any, c: Any, *arrays: Any) -> tuple:
            i, f, g, o = tf.split(projected[t] + matmul(h, recurrent), 4, axis=1)
            i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
            new_c = f * c + i * g
            tanh_c = tf.tanh(new_c)
            h = o * tanh_c
            values = (i, f, g, o, c, tanh_c, h)[-kept:]
            return h, new_c, *(a.write(t, v) for a, v in zip(arrays, values, strict=True))

        _, _, *arrays = run(step, (zeros, zeros, *(array() for _ in range(kept))))
        return arrays

    def stacked(hs: tf.TensorArray) -> tf.Tensor:
        return tf.ensure_shape(hs.stack(), (None, None, units))

    @tf.custom_gradient
    def lstm(inputs: Any, *weights: Any) -> tuple:
        saved = forward(inputs, *weights, kept=7)
        outputs = stacked(saved[-1])
        kernel, recurrent_kernel, _ = weights

        def gradient(d_outputs: tf.Tensor) -> tuple:
            transposed = rounded(tf.transpose(recurrent_kernel))

            def step_back(number: Any, dh: Any, dc: Any, dzs: Any) -> tuple:
                t = time - 1 - number
                i, f, g, o, c, tanh_c = (a.read(t) for a in saved[:-1])
                dh = dh + d_outputs[t]
                dc = dc + tf.raw_ops.TanhGrad(y=tanh_c, dy=dh * o)
                dz = tf.concat(
                    [
                        tf.raw_ops.SigmoidGrad(y=i, dy=dc * g),
                        tf.raw_ops.SigmoidGrad(y=f, dy=dc * c),
                        tf.raw_ops.TanhGrad(y=g, dy=dc * i),
                        tf.raw_ops.SigmoidGrad(y=o, dy=dh * tanh_c),
                    ],
                    axis=1,
                )
                dz = rounded(dz)
                return matmul(dz, transposed), dc * f, dzs.write(t, dz)

            _, _, dzs = run(step_back, (zeros, zeros, array(matmul_dtype)))
            dz = tf.reshape(dzs.stack(), (-1, 4 * units))  # [time · batch, 4 units]
            before = tf.reshape(
                tf.concat([zeros[tf.newaxis], outputs[:-1]], axis=0), (-1, units)
            )  # each step's state, as the step found it
            d_inputs = matmul(dz, kernel, transpose_b=True)
            return (
                tf.reshape(d_inputs, (time, batch, dim)),
                matmul(tf.reshape(inputs, (-1, dim)), dz, transpose_a=True),
                matmul(before, dz, transpose_a=True),
                matmul(tf.ones((1, time * batch)), dz)[0],  # the sum over rows, several times as fast
            )

        return outputs, gradient

    if training:
        return lstm(inputs, kernel, recurrent_kernel, bias)
    return stacked(forward(inputs, kernel, recurrent_kernel, bias, kept=1)[0])
