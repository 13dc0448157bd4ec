"""A run → a SavedModel that takes raw text, for TensorFlow Serving or TensorFlow itself."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from sst_keras.classifier import Classifier
from sst_keras.errors import UsageError
from sst_keras.runs import RunDirectory
from sst_keras.runtime import keras, tf

FORMAT = 1  # of an export; it goes up when an earlier reader would misread it


def export(run: RunDirectory, out: str | Path | None = None, overwrite: bool = False) -> Path:
    """Exports a run's classifier as a SavedModel; see `Classifier.signatures` for its functions.

    Args:
        run: The run.
        out: The folder to make; None for the run's own `saved_model/1`, which is replaced.
        overwrite: Whether a SavedModel at `out` may be replaced.

    Returns:
        The SavedModel's folder.

    Raises:
        UsageError: If `out` exists already.
    """
    folder = run.saved_model_dir if out is None else Path(out)
    is_saved_model = (folder / "saved_model.pb").is_file()
    if out is not None and folder.exists() and (folder.is_file() or any(folder.iterdir())):
        if not (overwrite and is_saved_model):
            raise UsageError(
                f"{str(folder)!r} exists already. Choose another folder"
                + (", or use overwrite to replace this one." if is_saved_model else "."),
                setting="out",
            )
    classifier = Classifier.load(run)
    for layer in _layers(classifier.model):
        if hasattr(layer, "use_cudnn"):
            # A graph traced on a GPU with cuDNN would only run on machines with a GPU.
            layer.use_cudnn = False
    module = tf.Module()
    module.classifier = classifier
    # Variables, so that whoever loads the SavedModel finds them.
    module.class_names = tf.Variable(tf.constant(classifier.class_names), trainable=False)
    module.format = tf.Variable(FORMAT, trainable=False)
    # Written beside and renamed, so that a server that looks for new versions never finds a part.
    partial = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        tf.saved_model.save(module, partial, signatures=classifier.signatures())
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields a model's layers, including those within bidirectional layers."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.layers.Bidirectional):
            yield layer.forward_layer
            yield layer.backward_layer
