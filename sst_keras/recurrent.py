"""The LSTM layer: `keras.layers.LSTM`, with less work for a CPU.

Faster because each kernel's gradient is one matrix product over all time steps instead of one per
step, because the forward pass saves gate activations, and because masks cost nothing per step.
The two halves of a batch run on separate cores. A single chain of small products would make the
cores wait for each other at each step. This works best if TensorFlow runs two operations at a time,
each on half of the cores. With a GPU, the stock layer and cuDNN do the work; with JAX or PyTorch in
place of TensorFlow, the stock layer does.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from sst_keras.runtime import keras, tf, uses_tensorflow

_Weights = tuple[tf.Tensor, tf.Tensor, tf.Tensor]  # kernel, recurrent kernel, bias
_MIN_PACKED_BATCH = 16  # for prediction, packing pays off from this many rows
_CHUNK = 8  # steps per iteration of the loop that predicts fewer rows
_SHUT = -1e4  # added to a gate's sum to shut it: the sigmoid is 0


@keras.saving.register_keras_serializable("sst_keras")
class LSTM(keras.layers.LSTM):
    """An LSTM with the equations, weights and arguments of `keras.layers.LSTM`.

    Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997, with the forget
    gate of Gers et al., "Learning to Forget", 2000. Weights can be exchanged with the stock layer.

    A mask must have each row's real steps first; this is not checked. Outputs at padding are finite
    but arbitrary; the stock layer repeats the last real one. The layer falls back to the stock one
    for arguments that the fast code does not support: an initial or returned state, dropout inside
    the layer, other activations.

    `matmul_dtype` is `"float32"`, or `"bfloat16"` to round the factors and results of matrix
    products to 8 bits of precision, which is faster on CPUs with bfloat16 instructions. States and
    weights stay float32. It has no effect on a GPU, or with JAX or PyTorch.

    `weight_dropout` is the share of the recurrent kernel's entries that each batch drops in
    training, the same ones at all steps; the others are scaled up: Merity, Keskar and Socher,
    "Regularizing and Optimizing LSTM Language Models", ICLR 2018. A frozen layer drops none. The
    stock layer cannot drop weights, so the fast code then runs on a GPU, too, and training with JAX
    or PyTorch raises a `ValueError`.
    """

    def __init__(
        self,
        units: int,
        matmul_dtype: str = "float32",
        weight_dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, **kwargs)
        if matmul_dtype not in ("float32", "bfloat16"):
            raise ValueError(f"Expected float32 or bfloat16. Received: {matmul_dtype=}")
        self.matmul_dtype, self.weight_dropout = matmul_dtype, weight_dropout
        if weight_dropout:
            self.seed_generator = keras.random.SeedGenerator()
        # TensorFlow's XLA slows loops down on a CPU, and lacks TensorArrays. JAX needs it.
        self.supports_jit = not uses_tensorflow()

    def call(
        self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False
    ) -> Any:
        """Runs the layer on float32[batch, time, dim] and a mask bool[batch, time], true if real.

        Returns float32[batch, time, units] with `return_sequences`, else float32[batch, units]: the
        output at the last real step, or zeros for a row of only padding.
        """
        if initial_state is not None or not self._is_fast():
            if training and self.weight_dropout:
                raise ValueError(
                    f"Expected arguments of the fast code with weight_dropout. Received: "
                    f"initial_state={initial_state}, {self.get_config()}"
                )
            return super().call(sequences, initial_state, mask, training)
        weights, batch = self._weights(training), tf.shape(sequences)[0]
        if not training:
            return tf.cond(
                batch >= _MIN_PACKED_BATCH,
                lambda: self._run_packed(sequences, mask, weights),
                lambda: self._run(_lstm_states, sequences, mask, weights),
            )
        sizes = [batch // 2, batch - batch // 2]
        masks = (None, None) if mask is None else tf.split(mask, sizes)
        halves = zip(tf.split(sequences, sizes), masks, strict=True)
        return tf.concat([self._run(_lstm, *half, weights) for half in halves], axis=0)

    def train_on_rows(self, table: tf.Tensor, rows: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Does what `call(tf.gather(table, rows), mask=mask, training=True)` does, only faster.

        Each row of the table is multiplied by the kernel once, however often it occurs. The whole
        batch is one chain of products, so this is for two layers that run side by side. `table` is
        float32[count, dim], `rows` int32[batch, time]; masks and results are those of `call`.
        """
        if not self._is_fast():
            return self(tf.gather(table, rows), mask=mask, training=True)
        return self._run(partial(_lstm, table=table), rows, mask, self._weights(training=True))

    def _weights(self, training: bool) -> _Weights:
        kernel, recurrent, bias = self.cell.kernel, self.cell.recurrent_kernel, self.cell.bias
        if training and self.weight_dropout and self.trainable:
            recurrent = keras.random.dropout(
                recurrent, self.weight_dropout, seed=self.seed_generator
            )
        return tuple(map(tf.convert_to_tensor, (kernel, recurrent, bias)))

    def _run(
        self, lstm: Callable, sequences: tf.Tensor, mask: tf.Tensor | None, weights: _Weights
    ) -> tf.Tensor:
        """Runs rows of a batch with their padding; shapes are those of `call`."""
        inputs = tf.transpose(sequences, (1, 0, *range(2, sequences.shape.rank)))  # time first
        shut = None
        if self.go_backwards:
            inputs = tf.reverse(inputs, [0])
            if mask is not None:
                # Padding now comes first. Its input gate is shut, so the state stays 0.
                shut = tf.reverse(tf.transpose(tf.cast(tf.logical_not(mask), tf.float32)), [0])
        outputs = lstm(inputs, weights, shut, self.matmul_dtype)  # [time, batch, units]
        return self._returned(tf.transpose(outputs, (1, 0, 2)), mask)

    def _run_packed(
        self, sequences: tf.Tensor, mask: tf.Tensor | None, weights: _Weights
    ) -> tf.Tensor:
        """Runs only the real steps of a batch, for prediction; shapes are those of `call`.

        Rows are sorted from longest to shortest, so that the rows with a given step come first. The
        two halves take turns at picking rows, so that they cost the same.
        """
        batch, time = tf.shape(sequences)[0], tf.shape(sequences)[1]
        lengths = tf.fill([batch], time) if mask is None else _lengths(mask)
        flat = tf.reshape(sequences, (-1, sequences.shape[2]))  # [batch · time, dim]
        order = tf.argsort(lengths, direction="DESCENDING", stable=True)
        indices, states = [], []
        for rows in (order[0::2], order[1::2]):
            counts = tf.gather(lengths, rows)  # int32[rows], falling
            steps = tf.range(tf.maximum(tf.reduce_max(counts), 1))  # at least one
            is_real = counts > steps[:, tf.newaxis]  # [steps, rows]
            step, row = tf.unstack(tf.cast(tf.where(is_real), tf.int32), axis=1)
            first = tf.gather(rows, row) * time
            from_ = to = first + step
            if self.go_backwards:
                count = tf.gather(counts, row)
                from_, to = first + count - 1 - step, first + time - count + step
            rows_at = tf.reduce_sum(tf.cast(is_real, tf.int32), axis=1)  # int32[steps]
            inputs = tf.gather(flat, from_)
            indices.append(to[:, tf.newaxis])
            states.append(_packed_lstm_states(inputs, rows_at, weights, self.matmul_dtype))
        shape = (batch * time, self.units)
        outputs = tf.scatter_nd(tf.concat(indices, axis=0), tf.concat(states, axis=0), shape)
        return self._returned(tf.reshape(outputs, (batch, time, self.units)), mask)

    def _returned(self, outputs: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
        """Returns float32[batch, time, units], or each row's last real step of it."""
        if self.return_sequences:
            return outputs
        if mask is None or self.go_backwards:
            return outputs[:, -1]
        lengths = _lengths(mask)
        last = tf.gather(outputs, tf.maximum(lengths - 1, 0), batch_dims=1)
        return last * tf.cast(lengths > 0, last.dtype)[:, tf.newaxis]

    def _is_fast(self) -> bool:
        return (
            uses_tensorflow()
            and (self.weight_dropout or not tf.config.get_visible_devices("GPU"))
            and self.activation is keras.activations.tanh
            and self.recurrent_activation is keras.activations.sigmoid
            and self.use_bias
            and not (self.return_state or self.stateful)
            and not (self.dropout or self.recurrent_dropout)
            and self.compute_dtype == "float32"
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"matmul_dtype": self.matmul_dtype, "weight_dropout": self.weight_dropout}
        return {**super().get_config(), **config}


def _lengths(mask: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # int32[batch]


def _matmul(left: tf.Tensor, right: tf.Tensor, dtype: str, **transposed: bool) -> tf.Tensor:
    """Returns a matrix product that is computed in `dtype`, as float32."""
    left, right = tf.cast(left, dtype), tf.cast(right, dtype)
    return tf.cast(tf.matmul(left, right, **transposed), tf.float32)


def _projected(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, dtype: str) -> tf.Tensor:
    """Returns the part of inputs float32[..., dim] in the gates' sums: float32[..., 4 units]."""
    flat = tf.reshape(inputs, (-1, inputs.shape[-1]))
    shape = tf.concat([tf.shape(inputs)[:-1], [kernel.shape[1]]], axis=0)
    return tf.reshape(_matmul(flat, kernel, dtype) + bias, shape)


def _input_gates_shut(sums: tf.Tensor, shut: tf.Tensor | None) -> tf.Tensor:
    """Returns the gates' sums float32[time, batch, 4 units], their input gate shut by `shut`."""
    if shut is None:
        return sums
    units = sums.shape[2] // 4
    return sums + shut[:, :, tf.newaxis] * tf.constant([_SHUT] * units + [0.0] * 3 * units)


def _cell(z: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Runs a step from the gates' sums float32[batch, 4 units] and the cells float32[batch, units].

    Returns i, f, g, o, tanh of the new cells, the new states, and the new cells.
    """
    i, f, g, o = tf.split(z, 4, axis=1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    c = f * c + i * g
    tanh_c = tf.tanh(c)
    return i, f, g, o, tanh_c, o * tanh_c, c


def _loop(start: int, end: tf.Tensor, step: Callable, values: tuple, shapes: Any = None) -> tuple:
    """Replaces `values` by `step(t, *values)` for each t from `start` to `end - 1`; returns them.

    `shapes` are the static shapes of `values`, given if a shape changes between steps.
    """
    _, *values = tf.while_loop(
        lambda t, *_: t < end,
        lambda t, *values: (t + 1, *step(t, *values)),
        (tf.constant(start), *values),
        shapes and (tf.TensorShape(()), *map(tf.TensorShape, shapes)),
        parallel_iterations=1,
    )
    return tuple(values)


def _lstm_states(
    inputs: tf.Tensor, weights: _Weights, shut: tf.Tensor | None, dtype: str
) -> tf.Tensor:
    """Runs an LSTM over few rows, with the arguments and result of `_lstm`; slow for gradients.

    With few rows, most time is spent between operations, so each iteration of the loop runs
    `_CHUNK` steps. Steps beyond the end are cut off.
    """
    kernel, recurrent_kernel, bias = weights
    time, batch, units = tf.shape(inputs)[0], tf.shape(inputs)[1], recurrent_kernel.shape[0]
    projected = _input_gates_shut(_projected(inputs, kernel, bias, dtype), shut)
    projected = tf.pad(projected, [[0, -time % _CHUNK], [0, 0], [0, 0]])
    chunks = tf.reshape(projected, (-1, _CHUNK, batch, 4 * units))
    recurrent = tf.cast(recurrent_kernel, dtype)

    def run_chunk(number: tf.Tensor, h: tf.Tensor, c: tf.Tensor, states: tf.TensorArray) -> tuple:
        hs = []
        for z in tf.unstack(chunks[number], _CHUNK):
            *_, h, c = _cell(z + _matmul(h, recurrent, dtype), c)
            hs.append(h)
        return h, c, states.write(number, tf.stack(hs))

    zeros, count = tf.zeros((batch, units)), tf.shape(chunks)[0]
    states = tf.TensorArray(tf.float32, count, element_shape=(_CHUNK, None, units))
    *_, states = _loop(0, count, run_chunk, (zeros, zeros, states))
    return tf.reshape(states.stack(), (-1, batch, units))[:time]


def _packed_lstm_states(
    inputs: tf.Tensor, rows_at: tf.Tensor, weights: _Weights, dtype: str
) -> tf.Tensor:
    """Runs an LSTM without padding over rows sorted from longest to shortest.

    `inputs` float32[real, dim] has the first step of all rows, then the second step of the rows
    that have one, and so on. `rows_at` int32[time] is the number of rows that have each step; there
    is at least one step. Returns float32[real, units] in the order of the inputs.
    """
    kernel, recurrent_kernel, bias = weights
    time, units = tf.shape(rows_at)[0], recurrent_kernel.shape[0]
    projected = _matmul(inputs, kernel, dtype) + bias  # [real, 4 units]
    recurrent = tf.cast(recurrent_kernel, dtype)

    def step(t: Any, start: Any, h: Any, c: Any, states: tf.TensorArray) -> tuple:
        rows = rows_at[t]
        z = projected[start : start + rows] + _matmul(h[:rows], recurrent, dtype)
        *_, h, c = _cell(z, c[:rows])
        return start + rows, h, c, states.write(t, h)

    zeros = tf.zeros((rows_at[0], units))
    states = tf.TensorArray(tf.float32, time, infer_shape=False, element_shape=(None, units))
    shapes = ((), (None, units), (None, units), None)
    *_, states = _loop(0, time, step, (tf.constant(0), zeros, zeros, states), shapes)
    return states.concat()


def _lstm(
    inputs: tf.Tensor,
    weights: _Weights,
    shut: tf.Tensor | None,
    dtype: str,
    table: tf.Tensor | None = None,
) -> tf.Tensor:
    """Runs an LSTM over float32[time, batch, dim] from a state of zeros, with a fast gradient.

    With a `table` float32[rows, dim], `inputs` int32[time, batch] are rows of it. The kernels are
    float32[dim, 4 units] and float32[units, 4 units], the bias is float32[4 units], with gates in
    Keras's order i, f, g, o. `shut` float32[time, batch] is 1 at padding before a row's first step,
    or None if there is none. Matrix products are computed in `dtype`. Returns float32[time, batch,
    units].
    """
    time, batch, units = tf.shape(inputs)[0], tf.shape(inputs)[1], weights[1].shape[0]
    zeros = tf.zeros((batch, units))

    @tf.custom_gradient
    def lstm(vectors: Any, kernel: Any, recurrent_kernel: Any, bias: Any) -> tuple:
        projected = _projected(vectors, kernel, bias, dtype)
        if table is not None:
            projected = tf.gather(projected, inputs)
        projected = _input_gates_shut(projected, shut)
        recurrent = tf.cast(recurrent_kernel, dtype)

        def step(t: Any, h: Any, c: Any, *arrays: Any) -> tuple:
            z = projected[t] + _matmul(h, recurrent, dtype)
            i, f, g, o, tanh_c, h, new_c = _cell(z, c)
            values = (i, f, g, o, c, tanh_c, h)
            return h, new_c, *(a.write(t, v) for a, v in zip(arrays, values, strict=True))

        # The first step starts from zeros and needs no product.
        i, f, g, o, tanh_c, h, c = _cell(projected[0], zeros)
        first = (_array(time).write(0, value) for value in (i, f, g, o, zeros, tanh_c, h))
        _, _, *saved, states = _loop(1, time, step, (h, c, *first))
        outputs = tf.ensure_shape(states.stack(), (None, None, units))

        def gradient(d_outputs: tf.Tensor) -> tuple:
            dz = _gate_gradients(d_outputs, saved, recurrent_kernel, dtype)
            flat = tf.reshape(vectors, (-1, vectors.shape[-1]))
            before = tf.reshape(outputs[:-1], (-1, units))  # the states before steps 1, 2, ...
            sums = dz  # the gradients of the gates' sums of each vector
            if table is not None:
                sums, rows = tf.cast(dz, tf.float32), tf.reshape(inputs, (-1,))
                sums = tf.math.unsorted_segment_sum(sums, rows, tf.shape(table)[0])
            return (
                tf.reshape(_matmul(sums, kernel, dtype, transpose_b=True), tf.shape(vectors)),
                _matmul(flat, sums, dtype, transpose_a=True),
                _matmul(before, dz[batch:], dtype, transpose_a=True),
                # A product with ones is a faster sum over rows.
                tf.matmul(tf.ones((1, tf.shape(sums)[0])), tf.cast(sums, tf.float32))[0],
            )

        return outputs, gradient

    return lstm(inputs if table is None else table, *weights)


def _gate_gradients(
    d_outputs: tf.Tensor, saved: list[tf.TensorArray], recurrent_kernel: tf.Tensor, dtype: str
) -> tf.Tensor:
    """Returns the gradients of the gates' sums at all steps: dtype[time · batch, 4 units].

    `d_outputs` float32[time, batch, units] are the gradients of the outputs. `saved` has i, f, g,
    o, the cells before the step, and tanh of the cells after it, each float32[batch, units].
    """
    time, units = tf.shape(d_outputs)[0], recurrent_kernel.shape[0]
    transposed = tf.cast(tf.transpose(recurrent_kernel), dtype)

    def cell_back(t: Any, dh: Any, dc: Any) -> tuple:
        """Returns the gradients of a step's gate sums and of the cells before it."""
        i, f, g, o, c, tanh_c = (a.read(t) for a in saved)
        dh = dh + d_outputs[t]
        dc = dc + tf.raw_ops.TanhGrad(y=tanh_c, dy=dh * o)
        dz = [
            tf.raw_ops.SigmoidGrad(y=i, dy=dc * g),
            tf.raw_ops.SigmoidGrad(y=f, dy=dc * c),
            tf.raw_ops.TanhGrad(y=g, dy=dc * i),
            tf.raw_ops.SigmoidGrad(y=o, dy=dh * tanh_c),
        ]
        return tf.cast(tf.concat(dz, axis=1), dtype), dc * f

    def step_back(number: Any, dh: Any, dc: Any, dzs: Any) -> tuple:
        t = time - number
        dz, dc = cell_back(t, dh, dc)
        return _matmul(dz, transposed, dtype), dc, dzs.write(t, dz)

    zeros = tf.zeros_like(d_outputs[0])
    dh, dc, dzs = _loop(1, time, step_back, (zeros, zeros, _array(time, dtype)))
    dz, _ = cell_back(0, dh, dc)
    return tf.reshape(dzs.write(0, dz).stack(), (-1, 4 * units))


def _array(time: tf.Tensor, dtype: str = "float32") -> tf.TensorArray:
    return tf.TensorArray(dtype, time, element_shape=(None, None))
