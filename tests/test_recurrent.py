"""The LSTM layer against `keras.layers.LSTM`."""

import numpy as np
import pytest

from sst_keras.recurrent import LSTM
from sst_keras.runtime import keras, tf

LENGTHS = np.array([19, 1, 5, 0, 7, 9, 2])
TIME = 19


def compare(make, sequences: bool, masked: bool, training: bool, rows: int = 1) -> None:
    """Asserts that both layers give the same outputs and gradients at real steps."""
    lengths = np.tile(LENGTHS, rows)
    inputs = tf.random.stateless_normal((len(lengths), TIME, 10), (1, 1))
    real = np.arange(TIME) < lengths[:, np.newaxis]
    mask = tf.constant(real) if masked else None
    stock, fast = make(keras.layers.LSTM), make(LSTM)
    for layer in (stock, fast):
        layer.build(inputs.shape)
    fast.set_weights(stock.get_weights())
    results = []
    for layer in (stock, fast):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, mask=mask, training=training)
            if sequences and masked:
                weights = real[:, ::-1] if getattr(layer, "go_backwards", False) else real
                outputs = outputs * weights[..., np.newaxis].astype("float32")
            loss = tf.reduce_mean(tf.sin(outputs))
        variables = [variable.value for variable in layer.trainable_variables]
        results.append([outputs, *tape.gradient(loss, [inputs, *variables])])
    for expected, received in zip(*results, strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(received, expected, atol=1e-5)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("way", ["training", "few rows", "packed"])
def test_equals_the_stock_layer(backwards, sequences, masked, way):
    compare(
        lambda kind: kind(6, return_sequences=sequences, go_backwards=backwards),
        sequences,
        masked,
        training=way == "training",
        rows=4 if way == "packed" else 1,
    )


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("way", ["training", "few rows", "packed"])
def test_equals_the_stock_layer_in_both_directions(sequences, way):
    compare(
        lambda kind: keras.layers.Bidirectional(kind(6, return_sequences=sequences)),
        sequences,
        masked=True,
        training=way == "training",
        rows=4 if way == "packed" else 1,
    )


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("weight_dropout", [0.0, 0.3])
def test_rows_of_a_table_equal_their_vectors(backwards, weight_dropout):
    layer = LSTM(
        6, return_sequences=True, go_backwards=backwards, weight_dropout=weight_dropout
    )  # fmt: skip
    table = tf.random.stateless_normal((5, 10), (1, 1))
    layer.build((None, None, 10))
    rows = tf.constant(np.arange(len(LENGTHS) * TIME).reshape(-1, TIME) % 4, tf.int32)
    mask = tf.sequence_mask(LENGTHS, TIME)
    real = tf.reverse(mask, [1]) if backwards else mask
    results = []
    for run in (
        lambda: layer(tf.gather(table, rows), mask=mask, training=True),
        lambda: layer.train_on_rows(table, rows, mask),
    ):
        if weight_dropout:
            layer.seed_generator.state.assign([1, 1])  # the same weights are dropped
        with tf.GradientTape() as tape:
            tape.watch(table)
            outputs = tf.where(real[:, :, tf.newaxis], run(), 0.0)
            loss = tf.reduce_mean(tf.sin(outputs))
        variables = [variable.value for variable in layer.trainable_variables]
        gradients = tape.gradient(loss, [table, *variables])
        results.append([outputs, *map(tf.convert_to_tensor, gradients)])
    for expected, received in zip(*results, strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(received, expected, atol=1e-6)


def test_a_packed_batch_of_only_padding_is_finite():
    inputs = tf.random.stateless_normal((20, 3, 4), (1, 1))
    outputs = LSTM(6)(inputs, mask=tf.zeros((20, 3), tf.bool), training=False)
    np.testing.assert_array_equal(outputs, np.zeros((20, 6)))


def test_weights_can_be_used_by_the_stock_layer():
    inputs = tf.random.stateless_normal((3, 5, 4), (1, 1))
    fast, stock = LSTM(6), keras.layers.LSTM(6)
    expected = fast(inputs)
    stock.build(inputs.shape)
    stock.set_weights(fast.get_weights())
    np.testing.assert_allclose(stock(inputs), expected, atol=1e-5)


def test_unsupported_arguments_use_the_stock_layer():
    inputs = tf.random.stateless_normal((3, 5, 4), (1, 1))
    outputs, h, c = LSTM(6, return_state=True)(inputs)
    np.testing.assert_allclose(outputs, h)
    assert np.abs(c).max() > 0


def test_bfloat16_products_are_close():
    inputs = tf.random.stateless_normal((3, 20, 4), (1, 1))
    exact, rounded = LSTM(6), LSTM(6, matmul_dtype="bfloat16")
    expected = exact(inputs)
    rounded.build(inputs.shape)
    rounded.set_weights(exact.get_weights())
    difference = np.abs(rounded(inputs) - expected).max()
    assert 0 < difference < 0.02


def test_the_config_reads_back():
    layer = LSTM(6, matmul_dtype="bfloat16", weight_dropout=0.5, return_sequences=True)
    again = LSTM.from_config(layer.get_config())
    assert (again.units, again.matmul_dtype, again.return_sequences) == (6, "bfloat16", True)
    assert again.weight_dropout == 0.5


def test_weight_dropout_drops_recurrent_weights_in_training_only():
    # Without input weights, and with forget gates shut, a step depends on the recurrent ones only.
    layer, inputs = LSTM(4, weight_dropout=0.5), tf.ones((1, 2, 3))
    layer.build(inputs.shape)
    kernel, recurrent, bias = layer.get_weights()
    bias[4:8] = -99.0
    layer.set_weights([kernel, recurrent, bias])
    outputs = {tuple(layer(inputs, training=True).numpy()[0]) for _ in range(20)}
    assert len(outputs) > 10
    plain = LSTM(4)
    plain.build(inputs.shape)
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(inputs), plain(inputs))
    # One step has no recurrent product.
    first = layer(inputs[:, :1], training=True)
    np.testing.assert_allclose(first, plain(inputs[:, :1]), atol=1e-6)


def test_a_frozen_layer_drops_no_weights():
    layer, inputs = LSTM(4, weight_dropout=0.5), tf.ones((1, 5, 3))
    layer.trainable = False
    np.testing.assert_allclose(layer(inputs, training=True), layer(inputs), atol=1e-6)


def test_weights_are_dropped_where_the_stock_layer_would_run(monkeypatch):
    with pytest.raises(ValueError, match="fast code with weight_dropout"):
        LSTM(4, weight_dropout=0.5, activation="relu")(tf.ones((1, 5, 3)), training=True)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    layer, inputs = LSTM(4, weight_dropout=0.5), tf.ones((1, 5, 3))
    assert np.abs(layer(inputs, training=True) - layer(inputs)).max() > 1e-3


def test_an_unknown_dtype():
    with pytest.raises(ValueError, match="float32 or bfloat16.*'float16'"):
        LSTM(6, matmul_dtype="float16")
