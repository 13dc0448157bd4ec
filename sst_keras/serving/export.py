"""A run → a SavedModel that takes raw text, for TensorFlow Serving or TensorFlow itself."""

import os
import subprocess
import sys
from pathlib import Path

from sst_keras import checklist, files
from sst_keras.classifier import Classifier
from sst_keras.errors import InputError, UsageError
from sst_keras.models import recurrent_layers
from sst_keras.runs import RunDirectory
from sst_keras.runtime import tf, uses_tensorflow
from sst_keras.serving.model_card import model_card
from sst_keras.serving.prediction import CHECKSUMS

FORMAT = 1  # of an export. It goes up when an earlier reader would misread it.
CARD = "assets.extra/model_card.md"  # where TensorFlow lets others put files into a SavedModel
# What TensorFlow and `export` write into the folder.
_MADE = {"saved_model.pb", "fingerprint.pb", "variables", "assets", CARD, CHECKSUMS}


def export(run: RunDirectory, out: str | Path | None = None, overwrite: bool = False) -> Path:
    """Exports a run's classifier as a SavedModel; see `Classifier.signatures` for its functions.

    If Keras computes with JAX or PyTorch, another process with TensorFlow does it.

    Args:
        run: The run.
        out: The folder to make; None for the run's own `saved_model/1`, which is replaced.
        overwrite: Whether a SavedModel at `out` may be replaced.

    Its model card is the file `assets.extra/model_card.md` in it.

    Returns:
        The SavedModel's folder.

    Raises:
        UsageError: If `out` exists already, or what is to be replaced has other files or is a link.
        InputError: If the other process fails.
    """
    folder = run.saved_model_dir if out is None else Path(os.path.abspath(out))
    files.bring_back(folder)
    is_saved_model = (folder / "saved_model.pb").is_file()
    if out is not None and folder.exists() and (folder.is_file() or any(folder.iterdir())):
        if not (overwrite and is_saved_model):
            raise UsageError(
                f"{str(folder)!r} exists already. Choose another folder"
                + (", or use overwrite to replace this one." if is_saved_model else "."),
                setting="out",
            )
    files.check_replaceable(folder, _MADE, "an export")
    if not uses_tensorflow():
        _export_elsewhere(run, folder, overwrite or out is None)
        return folder
    classifier = Classifier.load(run)
    for layer in recurrent_layers(classifier.model):
        # A graph traced on a GPU with cuDNN would only run on machines with a GPU.
        layer.use_cudnn = False
    predictor = classifier.predictor()
    found = checklist.summary(predictor)
    card = model_card(run, predictor.class_names, predictor.has_attention, found)
    module = tf.Module()
    module.classifier = classifier
    # As variables, they are attributes of the loaded SavedModel.
    module.class_names = tf.Variable(tf.constant(classifier.class_names), trainable=False)
    module.format = tf.Variable(FORMAT, trainable=False)
    # Written beside it and renamed: a server that looks for new versions never finds a part.
    with files.replacing_folder(folder) as partial:
        tf.saved_model.save(module, partial, signatures=classifier.signatures())
        files.write_text(partial / CARD, card)
        parts = (path for path in partial.rglob("*") if path.is_file())
        names = sorted(path.relative_to(partial).as_posix() for path in parts)
        files.write_checksums(partial / CHECKSUMS, partial, names)
    return folder


def _export_elsewhere(run: RunDirectory, folder: Path, overwrite: bool) -> None:
    # By its name, even if it is the run's own: our process may have locked the run.
    command = [sys.executable, "-m", "sst_keras", "export", str(run.path), "--out", str(folder)]
    command += ["--overwrite"] if overwrite else []
    environment = os.environ | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        reason = next(reversed(done.stderr.splitlines()), f"exit code {done.returncode}")
        raise InputError(f"{run.path} was not exported: {reason.removeprefix('Error: ')}")
