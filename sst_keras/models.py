"""The models: `{token_ids: int32[batch, time]}` → `logits: float32[batch, classes]`.

Keras functional models in `keras.ops` and layers alone. Padding has the id 0 and is masked; it
never changes an answer, however much of it a batch has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sst_keras.layers import (
    AttentionPooling,
    Embedding,
    FixedLength,
    MaskedAveragePooling,
    MaskedConv1D,
    MaskedMaxPooling,
)
from sst_keras.recurrent import LSTM
from sst_keras.runtime import keras
from sst_keras.settings import EmbeddingConfig, ModelConfig


def build_model(
    model: ModelConfig,
    embedding: EmbeddingConfig,
    vocabulary_size: int,
    num_classes: int,
    matrix: np.ndarray | None = None,
) -> keras.Model:
    """Builds a model, with the word vectors in place.

    Args:
        model: What stands between the word vectors and the classes.
        embedding: Whether and how the word vectors train.
        vocabulary_size: Number of ids, padding and the unknown token among them.
        num_classes: Number of classes.
        matrix: float32[vocabulary_size, dim], the word vectors to start from; None for random
            ones of width `embedding.dim`.

    Returns:
        A model from `token_ids: int32[batch, time]` to `logits: float32[batch, num_classes]`.

    Raises:
        ValueError: If the matrix is of another height than the vocabulary.
    """
    if matrix is not None and len(matrix) != vocabulary_size:
        raise ValueError(
            f"Expected one row of `matrix` for each of {vocabulary_size} ids. "
            f"Received: matrix.shape={matrix.shape}"
        )
    dim = embedding.dim if matrix is None else matrix.shape[1]

    # === Layers ===
    vectors = _embedding_layer("embedding", vocabulary_size, dim, embedding.trainable)
    dropped = keras.layers.Dropout(embedding.dropout, name="embedding_dropout")
    classifier = keras.layers.Dense(num_classes, name="logits")

    # === Functional Model ===
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")  # [batch, time]
    x = vectors(token_ids)  # [batch, time, dim]
    if model.name == "cnn-multichannel":
        still = _embedding_layer("frozen_embedding", vocabulary_size, dim, trainable=False)
        x = keras.layers.Concatenate(name="channels")([still(token_ids), x])  # [batch, time, 2 dim]
    x = dropped(x)
    x = MODELS[model.name](model, x)  # [batch, features]
    x = keras.layers.Dropout(model.dropout, name="dropout")(x)
    name = model.name.replace("-", "_")
    built = keras.Model({"token_ids": token_ids}, classifier(x), name=name)

    # Set here, not by an initializer, which would put the whole matrix into the model's config.
    if matrix is not None:
        vectors.set_weights([matrix])
    if model.name == "cnn-multichannel":
        still.set_weights(vectors.get_weights())
    return built


def _embedding_layer(name: str, ids: int, dim: int, trainable: bool) -> Embedding:
    """Returns an embedding that masks padding; random rows are as spread as word2vec's."""
    return Embedding(
        ids,
        dim,
        mask_zero=True,
        embeddings_initializer=keras.initializers.RandomUniform(-0.25, 0.25),
        trainable=trainable,
        name=name,
    )


# === Builders: word vectors float32[batch, time, dim] → float32[batch, features] ===


def lstm(model: ModelConfig, x: Any) -> Any:
    """LSTMs upon one another, then the steps of the last one pooled.

    Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997. The features are
    `units` wide with attention; else `units`, or twice that in both directions.
    """
    if model.pooling == "last_padded":
        x = FixedLength(model.padded_length, name="fixed_length")(x)  # unmasked
    for number in range(1, model.num_layers + 1):
        last = number == model.num_layers
        layer = LSTM(
            model.units,
            # Given the mask, the layer itself returns each direction's last real step.
            return_sequences=not last or not model.pooling.startswith("last"),
            matmul_dtype=model.matmul_dtype,
            name=f"lstm_{number}",
        )
        if model.bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{number}")
        x = layer(x)  # [batch, time, units or 2 units]
        if not last:
            x = keras.layers.Dropout(model.dropout, name=f"dropout_{number}")(x)
    if model.pooling == "attention":
        # The scores are an output of the layer so that the exported model can show them.
        x, _ = AttentionPooling(model.units, name="attention")(x, return_attention_scores=True)
    elif model.pooling == "mean":
        x = MaskedAveragePooling(name="mean")(x)
    elif model.pooling == "max":
        x = MaskedMaxPooling(name="max")(x)
    return x  # [batch, features]


def mlp(model: ModelConfig, x: Any) -> Any:
    """A hidden layer over the mean of the word vectors: a bag of words, blind to their order."""
    x = MaskedAveragePooling(name="mean")(x)  # [batch, dim]
    return keras.layers.Dense(model.units, activation="relu", name="hidden")(x)


def cnn(model: ModelConfig, x: Any) -> Any:
    """Convolutions of several widths, each one's maximum over time.

    Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014. With several
    channels (word vectors side by side) each filter has weights for each channel.
    """
    widths = []
    for width in model.kernel_sizes:
        convolved = MaskedConv1D(model.filters, width, activation="relu", name=f"conv_{width}")(x)
        widths.append(MaskedMaxPooling(name=f"max_{width}")(convolved))  # [batch, filters]
    if len(widths) == 1:
        return widths[0]
    return keras.layers.Concatenate(name="features")(widths)  # [batch, filters · widths]


MODELS: dict[str, Callable[[ModelConfig, Any], Any]] = {
    "lstm": lstm,
    "mlp": mlp,
    "cnn": cnn,
    "cnn-multichannel": cnn,
}
