import numpy as np
import pytest
from layer_checks import check_layer, check_saving

from sst_keras.layers import (
    AttentionPooling,
    Embedding,
    FixedLength,
    Lookup,
    MaskedAveragePooling,
    MaskedConv1D,
    MaskedMaxPooling,
    MeanOfMembers,
    WordDropout,
)
from sst_keras.runtime import keras, tf

LAYERS = {
    "fixed length": lambda: FixedLength(40),
    "attention": lambda: AttentionPooling(5),
    "average": MaskedAveragePooling,
    "max": MaskedMaxPooling,
    "conv": lambda: MaskedConv1D(5, 3),
    "conv, even width": lambda: MaskedConv1D(5, 4, activation="relu"),
}


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_what_holds_for_every_layer(make, tmp_path):
    check_layer(make())
    check_saving(make(), tmp_path / "model.keras")


def identity_attention() -> AttentionPooling:
    """W_Q, W_V and the linear layer are identities, the key is (ln 3, 0), the bias (10, 0)."""
    layer = AttentionPooling(2)
    layer.build((None, None, 2))
    eye = np.eye(2)
    layer.set_weights([eye, np.array([[np.log(3.0)], [0.0]]), eye, eye, np.array([10.0, 0.0])])
    return layer


def test_attention_by_hand():
    # Scores ln 3 · x_1: ln 3 and 0, so weights 3/4 and 1/4; the third step is padding.
    inputs = np.array([[[1.0, 0.0], [0.0, 4.0], [99.0, 99.0]]], "float32")
    mask = np.array([[True, True, False]])
    outputs, scores = identity_attention()(inputs, mask=mask, return_attention_scores=True)
    np.testing.assert_allclose(scores, [[0.75, 0.25, 0.0]], atol=1e-6)
    np.testing.assert_allclose(outputs, [[10.0 + 0.75, 1.0]], atol=1e-6)


def test_attention_with_all_its_matrices_by_hand():
    layer = AttentionPooling(1)
    layer.build((None, None, 2))
    # Q = x_1 + 2 x_2, K = 1; V = 3 x_1; output 5 V A + 7.
    weights = [[[1.0], [2.0]], [[1.0]], [[3.0], [0.0]], [[5.0]], [7.0]]
    layer.set_weights([np.array(weight) for weight in weights])
    inputs = np.array([[[2.0, 0.0], [0.0, 1.0]]], "float32")  # both queries are 2: weights 1/2
    np.testing.assert_allclose(layer(inputs), [[5 * (0.5 * 6.0) + 7]], atol=1e-5)


def test_attention_over_only_padding_gives_the_bias():
    inputs = np.ones((1, 2, 2), "float32")
    mask = np.zeros((1, 2), bool)
    outputs, scores = identity_attention()(inputs, mask=mask, return_attention_scores=True)
    np.testing.assert_array_equal(scores, [[0.0, 0.0]])
    np.testing.assert_array_equal(outputs, [[10.0, 0.0]])


def test_attention_without_a_mask_uses_all_steps():
    inputs = np.zeros((1, 4, 2), "float32")
    _, scores = identity_attention()(inputs, return_attention_scores=True)
    np.testing.assert_allclose(scores, [[0.25] * 4])


def test_attention_in_half_precision_is_finite():
    layer = AttentionPooling(2, dtype="float16")
    outputs = layer(np.full((1, 2, 2), 100.0), mask=np.array([[True, False]]))
    assert np.isfinite(keras.ops.convert_to_numpy(outputs)).all()


def test_attention_needs_units():
    with pytest.raises(ValueError, match="units=0"):
        AttentionPooling(0)


def test_the_embedding_reads_and_updates_rows():
    layer = Embedding(4, 2)
    layer.build()
    matrix = np.arange(8, dtype="float32").reshape(4, 2)
    layer.set_weights([matrix])
    with tf.GradientTape() as tape:
        outputs = layer(np.array([[3, 1, 1]]))
    np.testing.assert_array_equal(outputs, [matrix[[3, 1, 1]]])
    assert isinstance(tape.gradient(outputs, layer.embeddings.value), tf.IndexedSlices)
    layer.enable_lora(1)  # the matrix is then no variable
    np.testing.assert_array_equal(layer(np.array([[3, 1, 1]])), [matrix[[3, 1, 1]]])


def test_average_and_maximum_by_hand():
    inputs = np.array([[[1.0, -3.0], [3.0, -1.0], [9.0, 9.0]], [[5.0, 5.0]] * 3], "float32")
    mask = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_allclose(MaskedAveragePooling()(inputs, mask=mask), [[2, -2], [0, 0]])
    # Negative maxima are kept: padding is not read as zeros.
    np.testing.assert_allclose(MaskedMaxPooling()(inputs, mask=mask), [[3, -1], [0, 0]])


def test_convolution_by_hand():
    layer = MaskedConv1D(1, 3)
    layer.build((None, None, 1))
    layer.set_weights([np.array([[[1.0]], [[10.0]], [[100.0]]]), np.array([0.5])])
    inputs = np.array([[[1.0], [2.0], [9.0]]], "float32")
    outputs = layer(inputs, mask=np.array([[True, True, False]]))
    # Step 1: 10·1 + 100·2; step 2: 1·1 + 10·2, because the third step is read as zero.
    np.testing.assert_allclose(np.ravel(outputs)[:2], [210.5, 21.5])
    with pytest.raises(ValueError, match="padding='valid'"):
        MaskedConv1D(1, 3, padding="valid")


def test_texts_are_padded_with_zeros_and_have_no_mask():
    inputs = np.array([[[1.0], [2.0], [9.0]]], "float32")
    layer = FixedLength(5)
    outputs = layer(inputs, mask=np.array([[True, True, False]]))
    np.testing.assert_array_equal(outputs, [[[1.0], [2.0], [0.0], [0.0], [0.0]]])
    assert getattr(outputs, "_keras_mask", None) is None
    np.testing.assert_array_equal(FixedLength(2)(inputs), inputs)  # longer texts are kept
    assert FixedLength(5)(keras.Input((None, 4))).shape == (None, None, 4)
    assert FixedLength(5)(keras.Input((3, 4))).shape == (None, 5, 4)
    with pytest.raises(ValueError, match="length=0"):
        FixedLength(0)


def test_words_are_dropped_in_training_and_padding_is_not():
    keras.utils.set_random_seed(1)
    layer, ids = WordDropout(0.25, unknown_id=1), np.array([[5] * 400 + [0] * 100])
    dropped = np.array(layer(ids, training=True))[0]
    assert set(dropped[:400]) == {1, 5}
    assert not dropped[400:].any()
    assert 70 < (dropped == 1).sum() < 130  # 100 ± 3.5 standard deviations
    np.testing.assert_array_equal(layer(ids), ids)
    assert WordDropout.from_config(layer.get_config()).get_config() == layer.get_config()


def test_ids_of_another_vocabulary():
    layer, ids = Lookup(4), np.array([[3, 1, 0], [2, 2, 0]])
    layer.build(ids.shape)
    layer.set_weights([np.array([0, 1, 1, 7], np.int32)])
    np.testing.assert_array_equal(layer(ids), [[7, 1, 0], [1, 1, 0]])
    assert Lookup.from_config(layer.get_config()).get_config() == layer.get_config()
    assert not layer.trainable_weights
    with pytest.raises(ValueError, match="input_dim"):
        Lookup(0)


def test_the_mean_of_members_by_hand():
    logits = [np.log([[0.2, 0.8]]), np.log([[0.6, 0.4]])]  # the mean is 0.4, 0.6
    attention = [np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])]
    layer = MeanOfMembers()
    np.testing.assert_allclose(layer(logits), np.log([[0.4, 0.6]]), atol=1e-6)
    answer, weights = layer(logits, attention=attention)
    np.testing.assert_allclose(answer, np.log([[0.4, 0.6]]), atol=1e-6)
    np.testing.assert_allclose(weights, [[0.75, 0.25]])
    warm = MeanOfMembers()
    warm.temperature.assign(2.0)
    np.testing.assert_allclose(warm(logits), np.log([[0.4, 0.6]]) / 2, atol=1e-6)
    assert not warm.trainable_weights
    sure = [np.array([[1e4, -1e4]]), np.array([[1e4, -1e4]])]
    assert np.isfinite(np.array(layer(sure))).all()
