"""A run → ONNX or LiteRT, for other runtimes. These models read ids of tokens, not texts."""

import contextlib
import io
import logging
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from sst_keras import checklist, files
from sst_keras.classifier import Classifier
from sst_keras.errors import InputError, UsageError
from sst_keras.models import attention_of
from sst_keras.recurrent import LSTM
from sst_keras.runs import LITERT, ONNX, RunDirectory
from sst_keras.runtime import keras
from sst_keras.serving.model_card import model_card
from sst_keras.vocabulary import UNKNOWN_ID

log = logging.getLogger(__name__)

FORMAT = 1  # of the folder. It goes up when an earlier reader would misread it.
ABOUT, _VOCABULARY, _CARD = "about.json", "vocabulary.txt", "model_card.md"


class Form(NamedTuple):
    """A file format of other runtimes.

    Attributes:
        file: The name of the model's file.
        batch: The batch size; None for any.
    """

    file: str
    batch: int | None


# LiteRT has no loop over rows of which it does not know how many there are.
FORMS = {
    ONNX: Form("model.onnx", None),
    LITERT: Form("model.tflite", 1),
}


def export_portable(
    run: RunDirectory, form: str, out: str | Path | None = None, overwrite: bool = False
) -> Path:
    """Exports a run's classifier for another runtime.

    The model maps `token_ids: int32[batch, time]` to `probabilities: float32[batch, classes]`, and
    if it has attention, also to `attention: float32[batch, time]`. Beside it are `vocabulary.txt`,
    in which the line of a word is its id, `about.json` with the classes, and the model card.

    Args:
        run: The run.
        form: A key of `FORMS`.
        out: The folder to make; None for one in the run's folder, which is replaced.
        overwrite: Whether an export at `out` may be replaced.

    Raises:
        UsageError: If `out` exists already, or a package is missing.
        InputError: If the model cannot be converted.
    """
    kind = FORMS[form]
    folder = run.path / form if out is None else Path(os.path.abspath(out))
    files.bring_back(folder)
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        is_own = _is_export(folder)
        if not is_own or (out is not None and not overwrite):
            raise UsageError(
                f"{str(folder)!r} exists already. Choose another folder"
                + (", or use overwrite to replace this one." if is_own else "."),
                setting="out",
            )
    classifier = Classifier.load(run)
    model = portable(classifier.model)
    has_attention = len(model.outputs) > 1
    about = {
        "format": FORMAT,
        "class_names": list(classifier.class_names),
        "lowercase": classifier.encoder.lowercase,
        "padding_id": 0,
        "unknown_id": UNKNOWN_ID,
        "batch": kind.batch,
        "inputs": {"token_ids": "int32[batch, time]"},
        "outputs": {"probabilities": "float32[batch, classes]"}
        | ({"attention": "float32[batch, time]"} if has_attention else {}),
    }
    with files.replacing_folder(folder) as partial:
        _write(model, form, partial / kind.file)
        shutil.copy(run.vocabulary_file, partial / _VOCABULARY)
        files.write_json(partial / ABOUT, about)
        found = checklist.summary(classifier.predictor())
        card = model_card(run, classifier.class_names, has_attention, found)
        files.write_text(partial / _CARD, card)
    return folder


def _is_export(folder: Path) -> bool:
    """Returns whether a folder holds an export of another runtime's form, and nothing else."""
    models = {form.file for form in FORMS.values()}
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return bool(names & models) and ABOUT in names and names <= {*models, ABOUT, _VOCABULARY, _CARD}


def portable(model: keras.Model) -> keras.Model:
    """Returns a classifier whose layers other runtimes know, with probabilities as its output.

    Keras's own LSTM stands in place of ours, whose loops over packed rows they do not have.
    """

    def stock(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, LSTM):
            for name in ("matmul_dtype", "weight_dropout"):
                del config[name]
            return keras.layers.LSTM.from_config(config | {"use_cudnn": False})
        return type(layer).from_config(config)

    clone = keras.models.clone_model(model, clone_function=stock, recursive=True)
    clone.set_weights(model.get_weights())
    outputs = {"probabilities": keras.layers.Softmax(name="probabilities")(clone.output)}
    if (attention := attention_of(clone)) is not None:
        outputs["attention"] = attention
    return keras.Model(clone.input, outputs)


def _write(model: keras.Model, form: str, path: Path) -> None:
    kind = FORMS[form]
    token_ids = keras.InputSpec(shape=(kind.batch, None), dtype="int32", name="token_ids")
    arguments: dict[str, Any] = {"input_signature": [{"token_ids": token_ids}], "verbose": False}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            model.export(path, format=form, **arguments)
    except ImportError as error:
        raise UsageError(
            f"this format needs a package that is missing ({error}). Install it with `pip install "
            f"'sst-keras[onnx]'`.",
            setting="format",
        ) from None
    except Exception as error:  # whatever the converters raise
        log.debug("The conversion failed.", exc_info=True)
        first = str(error).strip().partition("\n")[0][:200]
        raise InputError(f"the model cannot be written as {form}: {first}") from None
