"""The models: `{token_ids: int32[batch, time]}` → `logits: float32[batch, classes]`.

They are Keras functional models. Padding has the id 0 and is masked: the amount of it in a batch
never changes an answer.
"""

import functools
import math
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import layers, plugins
from sst_keras.errors import InputError
from sst_keras.packed import check_zip
from sst_keras.recurrent import LSTM
from sst_keras.runtime import check_memory, keras
from sst_keras.settings import EmbeddingConfig, ModelConfig
from sst_keras.vocabulary import UNKNOWN_ID

# Names of layers that other modules look up.
EMBEDDING = "embedding"
LOGITS = "logits"
ATTENTION = "attention"
_POOLING = {"mean": layers.MaskedAveragePooling, "max": layers.MaskedMaxPooling}


def build_model(
    model: ModelConfig,
    embedding: EmbeddingConfig,
    vocabulary_size: int,
    num_classes: int,
    matrix: np.ndarray | None = None,
    init_units: int | None = None,
) -> keras.Model:
    """Builds a model: features → encoder → classifier.

    Args:
        model: The layers between the word vectors and the classes.
        embedding: Whether and how the word vectors train.
        vocabulary_size: Number of ids, including padding and the unknown token.
        num_classes: Width of the logits.
        matrix: float32[vocabulary_size, dim], the initial word vectors; None for random ones of
            width `embedding.dim`.
        init_units: Width of the first recurrent layer if it starts from that of a language model or
            of a run; else None: it has `model.units`.

    Raises:
        ValueError: If the matrix does not have `vocabulary_size` rows.
        InputError: If the model cannot fit into the memory.
    """
    dim = embedding.dim if matrix is None else matrix.shape[1]
    if init_units is None:
        check_memory(least_parameters(model, vocabulary_size, dim), "model.units")
    if matrix is not None and len(matrix) != vocabulary_size:
        raise ValueError(
            f"Expected {vocabulary_size} rows, one for each id. Received: {matrix.shape=}"
        )
    size = (vocabulary_size, dim)
    # Layers draw their seeds when they are made: another order would change every result.
    channels = [_embedding_layer(EMBEDDING, size, embedding.trainable)]
    dropped = keras.layers.Dropout(embedding.dropout, name="embedding_dropout")
    classifier = keras.layers.Dense(num_classes, name=LOGITS)
    if model.name == "cnn-multichannel":
        channels.insert(0, _embedding_layer("frozen_embedding", size, trainable=False))

    token_ids = ids = keras.Input((None,), dtype="int32", name="token_ids")  # [batch, time]
    if embedding.word_dropout:
        ids = layers.WordDropout(embedding.word_dropout, UNKNOWN_ID, name="word_dropout")(ids)
    features = [channel(ids) for channel in channels]  # each [batch, time, dim]
    if len(features) > 1:
        features = [keras.layers.Concatenate(name="channels")(features)]
    encode = find_encoder(model.name)
    if init_units is not None and model.name == "lstm":
        encode = functools.partial(encode, init_units=init_units)
    x = encode(model, dropped(features[0]))  # [batch, features]
    x = keras.layers.Dropout(model.dropout, name="dropout")(x)
    name = model.name.replace("-", "_")
    built = keras.Model({"token_ids": token_ids}, classifier(x), name=name)

    # Not by an initializer, which would write the entire matrix into the model's config.
    weights = channels[-1].get_weights() if matrix is None else [matrix]
    for channel in channels:
        channel.set_weights(weights)
    return built


def least_parameters(model: ModelConfig, vocabulary_size: int, dim: int) -> int:
    """Returns a lower bound of a model's parameters: word vectors, and the layers that read them.

    It is computed before memory is taken. The classifier, pooling and wider inputs are left out.
    """
    channels = 2 if model.name == "cnn-multichannel" else 1
    if model.name == "lstm":
        directions = 2 if model.bidirectional else 1
        below = dim + (model.num_layers - 1) * model.units  # inputs of all layers, at least
        encoder = 4 * directions * model.units * (below + model.num_layers * (model.units + 1))
    elif model.name == "mlp":
        encoder = model.units * (dim + 1)
    elif model.name in ENCODERS:
        encoder = model.filters * sum(width * channels * dim + 1 for width in model.kernel_sizes)
    else:
        encoder = 0  # another package's
    return channels * vocabulary_size * dim + encoder


def _embedding_layer(name: str, size: tuple[int, int], trainable: bool) -> keras.Layer:
    # Random rows are as spread as word2vec's.
    return layers.Embedding(
        *size,
        mask_zero=True,
        embeddings_initializer=keras.initializers.RandomUniform(-0.25, 0.25),
        trainable=trainable,
        name=name,
    )


def load_model(path: Path) -> keras.Model:
    """Reads a `.keras` file of any origin.

    Keras refuses code in the description of a model, and weights that unpack to absurdly many. A
    description may still name layers of any size, so their sizes are checked before they are made.

    Raises:
        InputError: If the description asks for more bytes of weights than there are in the file.
        Exception: Whatever the readers of zip, JSON and HDF5 raise if the file is damaged.
    """
    check_zip(path)
    with zipfile.ZipFile(path) as archive:
        description = archive.read("config.json")
        there = archive.getinfo("model.weights.h5").file_size
    # Keras would give memory to the variables later, but it keeps those of each thread apart.
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(_described_bytes, description).result()
    if asked > there:
        raise InputError(
            f"{path}: the model asks for {asked:,} bytes of weights, and the file has {there:,}. "
            "It was changed or is damaged. Copy it from the original run."
        )
    return keras.models.load_model(path, compile=False)


def _described_bytes(description: bytes) -> int:
    """Returns the size of all variables of a described model, which get no memory."""
    with keras.StatelessScope(initialize_variables=False):
        model = keras.models.model_from_json(description)
        return sum(
            math.prod(each.shape) * np.dtype(each.dtype).itemsize for each in model.variables
        )


def summarized(model: keras.Model) -> str:
    """Returns the layers, their output shapes and parameter counts, as lines of text."""
    lines: list[str] = []
    model.summary(line_length=80, print_fn=lambda text, **_: lines.append(text))
    return "\n".join(lines) + "\n"


def vocabulary_size(model: keras.Model) -> int:
    """Returns the number of ids that a model, or an ensemble of models, reads."""
    for layer in model.layers:
        if isinstance(layer, layers.Lookup) or layer.name == EMBEDDING:
            return layer.input_dim
    return max(vocabulary_size(each) for each in model.layers if isinstance(each, keras.Model))


def attention_of(model: keras.Model) -> Any | None:
    """Returns the model's output float32[batch, time], its weights of words; None without any."""
    has_attention = any(layer.name == ATTENTION for layer in model.layers)
    return model.get_layer(ATTENTION).output[1] if has_attention else None


def word_vectors(layer: keras.Layer) -> np.ndarray:
    """Returns the rows of an embedding layer, float32[vocabulary, dim], quantized or not."""
    rows, *scale = layer.get_weights()
    return rows / scale[0][:, None].astype(np.float32) if scale else rows


def quantize_vectors(model: keras.Model) -> None:
    """Turns the word vectors of a model into integers of 8 bits, with a scale for each word."""
    for layer in model.layers:
        if isinstance(layer, layers.Embedding):
            layer.quantize("int8", type_check=False)


def recurrent_layers(model: keras.Model) -> Iterator[LSTM]:
    """Yields the recurrent layers of a model, of both directions, or of an ensemble's models."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from recurrent_layers(layer)
        elif isinstance(layer, keras.layers.Bidirectional):
            yield from (layer.forward_layer, layer.backward_layer)
        elif isinstance(layer, LSTM):
            yield layer


# === Encoders: word vectors float32[batch, time, dim] → float32[batch, features] ===


def lstm(model: ModelConfig, x: Any, init_units: int | None = None) -> Any:
    """Stacked LSTMs, then pooling over the time steps of the last one.

    Hochreiter and Schmidhuber, "Long Short-Term Memory", Neural Computation 1997. The output is
    `units` wide with attention, and otherwise `units` per direction. Shortcuts are those of Nie and
    Bansal, "Shortcut-Stacked Sentence Encoders for Multi-Domain Inference", RepEval 2017.
    """
    if model.pooling == "last_padded":
        x = layers.FixedLength(model.padded_length, name="fixed_length")(x)  # unmasked
    below = [x]
    for number in range(1, model.num_layers + 1):
        last = number == model.num_layers
        layer = LSTM(
            init_units if number == 1 and init_units is not None else model.units,
            # With a mask, the layer itself returns the last real step of each direction.
            return_sequences=not last or not model.pooling.startswith("last"),
            matmul_dtype=model.matmul_dtype,
            weight_dropout=model.weight_dropout,
            name=f"lstm_{number}",
        )
        if model.bidirectional:
            layer = keras.layers.Bidirectional(layer, name=f"bidirectional_{number}")
        x = layer(x)  # [batch, time, its units or 2 of them]
        if not last:
            x = keras.layers.Dropout(model.dropout, name=f"dropout_{number}")(x)
            below.append(x)
            if model.shortcuts:
                x = keras.layers.Concatenate(name=f"shortcut_{number}")(below)
    pooled = [_pooled(model, kind, x) for kind in model.pooling.split("-")]
    if len(pooled) > 1:
        return keras.layers.Concatenate(name="pooled")(pooled)
    return pooled[0]  # [batch, features]


def _pooled(model: ModelConfig, kind: str, x: Any) -> Any:
    """Pools over the time steps in one way; the last step needs no pooling."""
    if kind == "attention":
        # The weights are an output so that the exported model can show them.
        attention = layers.AttentionPooling(model.units, name=ATTENTION)
        return attention(x, return_attention_scores=True)[0]
    return _POOLING[kind](name=kind)(x) if kind in _POOLING else x


def mlp(model: ModelConfig, x: Any) -> Any:
    """A hidden layer over the mean of the word vectors, which ignores word order."""
    x = layers.MaskedAveragePooling(name="mean")(x)  # [batch, dim]
    return keras.layers.Dense(model.units, activation="relu", name="hidden")(x)


def cnn(model: ModelConfig, x: Any) -> Any:
    """Convolutions of several widths, each with its maximum over time.

    Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014.
    """
    maxima = []
    for width in model.kernel_sizes:
        convolution = layers.MaskedConv1D(
            model.filters, width, activation="relu", name=f"conv_{width}"
        )
        maxima.append(layers.MaskedMaxPooling(name=f"max_{width}")(convolution(x)))
    if len(maxima) == 1:
        return maxima[0]  # [batch, filters]
    return keras.layers.Concatenate(name="features")(maxima)  # [batch, filters · widths]


ENCODERS: dict[str, Callable] = {"lstm": lstm, "mlp": mlp, "cnn": cnn, "cnn-multichannel": cnn}


def find_encoder(name: str) -> Callable:
    """Returns the encoder of this name, of this package or another one; see `plugins`."""
    return ENCODERS[name] if name in ENCODERS else plugins.load_encoder(name)
