"""Checks that every layer must pass, on a small padded batch."""

from __future__ import annotations

import numpy as np

from sst_keras.runtime import keras


def check_layer(layer: keras.layers.Layer, features: int = 3) -> None:
    """Checks shapes and config, and that padding never changes an output."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(3, 4, features)).astype("float32")
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
    outputs = _array(layer(inputs, mask=mask))
    assert np.isfinite(outputs).all()

    symbolic = layer(keras.Input((None, features)), mask=keras.Input((None,), dtype="bool"))
    assert len(symbolic.shape) == outputs.ndim
    assert symbolic.shape[-1] == outputs.shape[-1]

    # Neither the values at padding nor its amount matter.
    padded = np.concatenate([inputs, random.normal(size=(3, 2, features))], axis=1)
    padded[1, 2:], padded[2, :] = 7.0, -7.0
    more = np.concatenate([mask, np.zeros((3, 2), bool)], axis=1)
    again = _array(layer(padded.astype("float32"), mask=more))
    if outputs.ndim == 3:
        again, outputs = again[:, :4] * mask[..., None], outputs[:, :4] * mask[..., None]
    np.testing.assert_allclose(again, outputs, atol=1e-6)

    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    copy.build(inputs.shape)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(_array(copy(inputs, mask=mask)), _array(layer(inputs, mask=mask)))


def check_saving(layer: keras.layers.Layer, path) -> None:
    """Checks that a model with the layer gives the same output after saving and loading."""
    token_ids = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 3, mask_zero=True)(token_ids)
    model = keras.Model(token_ids, layer(x))
    model.save(path)
    loaded = keras.models.load_model(path)
    ids = np.array([[1, 2, 3], [4, 0, 0]])
    np.testing.assert_array_equal(_array(loaded(ids)), _array(model(ids)))


def _array(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)
