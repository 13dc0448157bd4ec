"""A run → a SavedModel that takes raw text, for TensorFlow Serving or TensorFlow alone."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sst_keras.errors import UsageError
from sst_keras.evaluation import load_encoder, load_model
from sst_keras.input_pipeline import TokenEncoder
from sst_keras.runs import RunDirectory
from sst_keras.runtime import keras, tf
from sst_keras.tokenizer import tokenize


class TextClassifier(tf.Module):
    """Tokenizer, vocabulary and model in one graph.

    Signatures:
        serving_default: `text: string[batch]` → `probabilities: float32[batch, classes]`,
            `label: int64[batch]`, `class_name: string[batch]`.
        explain: where the model has attention; the same, and `tokens: string[batch, time]`, right
            padded with empty strings, and `attention: float32[batch, time]`, 0 at padding, each
            row summing to 1.

    Args:
        model: token_ids int32[batch, time] → logits float32[batch, classes].
        encoder: Tokens → ids.
        class_names: The classes, lowest first.
    """

    def __init__(
        self, model: keras.Model, encoder: TokenEncoder, class_names: tuple[str, ...]
    ) -> None:
        """Makes the graph's parts; see the class for the arguments."""
        super().__init__()
        for layer in _layers(model):
            if hasattr(layer, "use_cudnn"):
                # Traced on a GPU, the graph would otherwise run on machines with a GPU alone.
                layer.use_cudnn = False
        outputs = {"logits": model.output}
        self.has_attention = any(layer.name == "attention" for layer in model.layers)
        if self.has_attention:
            outputs["attention"] = model.get_layer("attention").output[1]
        self._forward = keras.Model(model.input, outputs)
        self._weights = [variable.value for variable in model.variables]  # saved through this
        self.encoder = encoder
        # A variable, so that whoever loads the SavedModel finds it: string[classes].
        self.class_names = tf.Variable(tf.constant(class_names), trainable=False)

    def signatures(self) -> dict[str, Any]:
        """Returns the functions to export, by name."""
        signatures = {"serving_default": self.classify}
        if self.has_attention:
            signatures["explain"] = self.explain
        return signatures

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def classify(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies string[batch]."""
        return self._answers(tokenize(text))[0]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def explain(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies string[batch], and tells how much each token weighed."""
        tokens = tokenize(text)
        answers, attention = self._answers(tokens)
        return {**answers, "tokens": tokens.to_tensor(default_value=""), "attention": attention}

    def _answers(self, tokens: tf.RaggedTensor) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        """Returns the answers for string[batch, (tokens)], and the attention where there is any."""
        token_ids = self.encoder(tokens).to_tensor()  # int32[batch, time]
        outputs = self._forward({"token_ids": token_ids}, training=False)
        label = tf.argmax(outputs["logits"], axis=-1)  # int64[batch]
        answers = {
            "probabilities": tf.nn.softmax(outputs["logits"]),
            "label": label,
            "class_name": tf.gather(self.class_names, label),
        }
        return answers, outputs.get("attention")


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields a model's layers, those within a bidirectional layer too."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.layers.Bidirectional):
            yield layer.forward_layer
            yield layer.backward_layer


def export(run: RunDirectory, out: str | Path | None = None, overwrite: bool = False) -> Path:
    """Exports a run's model.

    Args:
        run: The run.
        out: The folder to make; None for the run's own `saved_model/1`, which is replaced.
        overwrite: Whether a SavedModel at `out` may be replaced.

    Returns:
        The SavedModel's folder.

    Raises:
        UsageError: If `out` is there already.
    """
    folder = run.saved_model_dir if out is None else Path(out)
    is_saved_model = (folder / "saved_model.pb").is_file()
    if out is not None and folder.exists() and (folder.is_file() or any(folder.iterdir())):
        if not (overwrite and is_saved_model):
            raise UsageError(
                f"--out: {str(folder)!r} is there already. Give another folder"
                + (", or --overwrite to replace it." if is_saved_model else ".")
            )
    model = load_model(run)
    module = TextClassifier(model, load_encoder(run, model), run.pipeline.data.labels)
    # Written beside and renamed: whoever looks for new versions never finds half of one.
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        tf.saved_model.save(module, partial, signatures=module.signatures())
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder
