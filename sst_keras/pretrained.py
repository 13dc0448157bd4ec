"""The run of a language model, and how a classifier starts from it."""

from __future__ import annotations

import csv
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.fields import NUMBER, Range, check_fields, other_format
from sst_keras.runs import RUNS_DIR, file_of, lasting_name, places
from sst_keras.settings import ModelConfig

if TYPE_CHECKING:
    from sst_keras.lexicon import Lexicon
    from sst_keras.runtime import keras

log = logging.getLogger(__name__)

# Raise it when this version would misread a run of the earlier format.
FORMAT = 1
DIRECTIONS = ("forward", "backward")
_ENCODER = tuple(
    f"{name}/{part}" for name in DIRECTIONS for part in ("kernel", "recurrent_kernel", "bias")
)
_ABOUT = {
    "settings": {"units": Range(1, 2**31), "epochs": int}, "corpus": {"name": str},
    "vectors": {"name": str, "fingerprint": str},
}  # fmt: skip
_METRICS = {
    "perplexity": dict.fromkeys(DIRECTIONS, NUMBER), "held_out_sentences": int, "tokens": int,
    "training_seconds": NUMBER, "seconds": NUMBER,
}  # fmt: skip
_ROW = dict.fromkeys(
    ("epoch", "tokens", "seconds", *(f"{name}_perplexity" for name in DIRECTIONS)), NUMBER
)
_AGAIN = "Run `sst-keras pretrain` again in another folder, or copy the original here."


@dataclass(frozen=True)
class LanguageModelRun:
    """A folder with a language model in two directions. It can be copied anywhere."""

    path: Path

    settings_file = file_of("language_model.json", "Format, settings, corpus and vectors.")
    vocabulary_file = file_of("vocabulary.txt", "The predicted words, one per line, by frequency.")
    history_file = file_of("history.csv", "Losses and perplexities, one row per part of an epoch.")
    weights_file = file_of("weights.npz", "The weights; see `weights`.")
    checkpoint_file = file_of("checkpoint.npz", "What training goes on from; none if finished.")
    environment_file = file_of("environment.json", "Versions, machine, commit.")
    metrics_file = file_of("metrics.json", "The perplexities; written last.")
    plots_dir = file_of("plots", "The plots.")

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that a run may have, apart from its plots."""
        return (
            self.settings_file, self.vocabulary_file, self.history_file, self.weights_file,
            self.checkpoint_file, self.environment_file, self.metrics_file,
        )  # fmt: skip

    @property
    def is_finished(self) -> bool:
        """Whether training is complete."""
        return self.metrics_file.is_file()

    @property
    def lasting_name(self) -> str:
        """What finds the run from any folder: its name below `saved_models/`, or its full path."""
        return lasting_name(self.path)

    def about(self) -> dict[str, Any]:
        """Reads `language_model.json`; another format or a part missing: `InputError`."""
        about = files.read_sealed_json(self.settings_file)
        if about.get("format") != FORMAT:
            raise InputError(other_format(self.settings_file, FORMAT, about.get("format")))
        check_fields(about, _ABOUT, str(self.settings_file), _AGAIN)
        return about

    def weights(self) -> dict[str, np.ndarray]:
        """Reads the weights by name; a damaged file raises an `InputError`.

        `forward/kernel` float32[dim, 4 units], for the vectors as their file has them;
        `forward/recurrent_kernel` float32[units, 4 units]; `forward/bias` float32[4 units]; the
        same with `backward`; `softmax/kernel` float32[classes, units]; `softmax/bias`
        float32[classes]. Gates are in Keras's order i, f, g, o. An encoder (`export_encoder`) has
        float16, and no softmax.
        """
        weights = files.read_arrays(self.weights_file)
        gates = 4 * self.units
        dim = np.size(weights.get("forward/kernel", 0)) // gates  # of the vectors
        shapes = {"kernel": (dim, gates), "recurrent_kernel": (self.units, gates), "bias": (gates,)}
        for name in _ENCODER:
            found, shape = weights.get(name), shapes[name.partition("/")[2]]
            if found is None or found.shape != shape or not _are_numbers(found):
                received = "nothing" if found is None else f"{found.dtype}{list(found.shape)}"
                raise InputError(
                    f"{self.weights_file}: expected the weights of a language model, of which "
                    f"{name} is float{list(shape)}, without nan. Received {received}. {_AGAIN}"
                )
        return weights

    def history(self) -> list[dict[str, float]]:
        """Reads `history.csv`: one row of numbers per part of an epoch, by column."""
        try:
            with self.history_file.open(encoding="utf-8", newline="") as file:
                rows = [
                    {
                        name: int(value) if value.isdigit() else float(value)
                        for name, value in row.items()
                    }
                    for row in csv.DictReader(file)
                ]
            if not rows:
                raise ValueError("It has no rows.")
        except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
            raise InputError(
                f"{self.history_file}: expected the history of a language model. {error}"
            ) from None
        check_fields(rows, [_ROW], str(self.history_file), _AGAIN)
        return rows

    def metrics(self) -> dict[str, Any]:
        """Reads `metrics.json`; a damaged one raises an `InputError`."""
        metrics = files.read_sealed_json(self.metrics_file)
        check_fields(metrics, _METRICS, str(self.metrics_file), _AGAIN)
        return metrics

    @property
    def units(self) -> int:
        """The width of each direction."""
        return self.about()["settings"]["units"]

    @property
    def fingerprint(self) -> str:
        """The sha256 of the file of weights."""
        return files.sha256(self.weights_file)

    def to_dict(self) -> dict[str, Any]:
        """Returns name, corpus and fingerprint, for what is made from the weights."""
        corpus = self.about()["corpus"]
        return {"name": self.lasting_name, "corpus": corpus, "fingerprint": self.fingerprint}

    def summary(self) -> dict[str, Any]:
        """Returns the run's name, corpus, vectors, units, and perplexities if it is finished."""
        about, metrics = self.about(), self.metrics() if self.is_finished else {}
        return {
            "run": self.lasting_name,
            "path": str(self.path),
            "corpus": about["corpus"]["name"],
            "vectors": about["vectors"]["name"],
            "units": about["settings"]["units"],
            "epochs": about["settings"]["epochs"],
            "finished": self.is_finished,
            "perplexity": metrics.get("perplexity"),
            "seconds": metrics.get("seconds"),
        }

    @classmethod
    def find(cls, path: str | Path) -> Self:
        """Returns the finished run at `path` or `saved_models/<path>`; else: `UsageError`."""
        for folder in places(path):
            run = cls(folder)
            if run.settings_file.is_file():
                if run.is_finished:
                    return run
                raise UsageError(
                    f"the language model {str(path)!r} is not finished. Run the command that "
                    f"started it again: it goes on.",
                    setting="model.init",
                )
        raise UsageError(
            f"there is no run or language model {str(path)!r}. Expected a folder that `sst-keras "
            f"train` or `sst-keras pretrain CORPUS` makes.",
            setting="model.init",
        )


def export_encoder(run: LanguageModelRun, out: str | Path | None = None) -> Path:
    """Writes what classifiers start from into a folder, a tenth of the size of the run.

    They start from it as from the run itself. It has the weights of the LSTMs in float16, and no
    softmax. Only a classifier reads it: it predicts no words.

    Args:
        run: A finished run.
        out: The folder to make; None for `encoder/` in the run, which is replaced.

    Returns:
        The folder.

    Raises:
        UsageError: If `out` exists already, or what is to be replaced has other files or is a link.
        InputError: If a file of the run is damaged.
    """
    folder = Path(os.path.abspath(out)) if out else run.path / "encoder"
    files.bring_back(folder)
    if out and folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise UsageError(f"{str(folder)!r} exists already. Choose another folder.", setting="out")
    copied = (run.history_file, run.environment_file, run.metrics_file)  # the last says: finished
    made = (run.settings_file, run.weights_file, *copied)
    files.check_replaceable(folder, {file.name for file in made}, "an encoder")
    about, weights = run.about(), run.weights()
    with np.errstate(over="ignore"):
        halves = {name: weights[name].astype(np.float16) for name in _ENCODER}
    if wide := [name for name, values in halves.items() if not np.isfinite(values).all()]:
        raise InputError(f"{run.weights_file}: {wide[0]} has numbers that float16 does not reach.")
    with files.replacing_folder(folder) as path:
        partial = LanguageModelRun(path)
        files.write_sealed_json(partial.settings_file, about | {"made_from": run.fingerprint})
        with files.whole_file(partial.weights_file) as weights_file:
            np.savez(weights_file, **halves)
        for file in copied:
            if file.is_file():
                shutil.copyfile(file, partial.path / file.name)
    return folder


def _are_numbers(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool(np.isfinite(array).all())


def start_from(
    run: LanguageModelRun, model: keras.Model, config: ModelConfig, lexicon: Lexicon
) -> None:
    """Gives a classifier's first recurrent layer the weights of a language model.

    The inputs that are the language model's vectors get its kernel. That of other inputs, such as a
    second set of vectors, is 0, so that the layer's states are at first the language model's. A
    classifier that reads in one direction takes the forward weights. The layer is frozen unless
    `config.train_init`.

    Raises:
        UsageError: If neither the language model's vectors nor a subset of them are among the
            classifier's.
    """
    about, weights = run.about(), run.weights()
    found = {
        each: number
        for number, source in enumerate(lexicon.sources)
        for each in source.fingerprints
    }
    vectors = about["vectors"]
    if vectors["fingerprint"] not in found:
        received = ", ".join(lexicon.vector_references)
        raise UsageError(
            f"the language model {run.lasting_name} reads the vectors {vectors['name']}. Add them "
            f"to embedding.vectors. Received: {received}.",
            setting="model.init",
        )
    if run.units != config.units:
        log.info(
            f"The first recurrent layer has the {run.units} units of the language model; "
            f"model.units is the width of the others."
        )
    reads_others = config.train_init or (config.shortcuts and config.num_layers > 1)
    if len(lexicon.sources) > 1 and not reads_others:
        log.warning(
            f"The language model reads only the vectors {vectors['name']}, and training does not "
            f"change it: the other vectors have no effect. Set model.shortcuts and a second layer, "
            f"or model.train_init."
        )
    number = found[vectors["fingerprint"]]
    start = sum(source.vectors.dim for source in lexicon.sources[:number])
    source = lexicon.sources[number]
    for direction, layer in zip(DIRECTIONS, first_layers(model), strict=False):
        kernel = np.zeros(layer.cell.kernel.shape, np.float32)
        given = weights[f"{direction}/kernel"]
        if len(given) != source.vectors.dim:
            raise InputError(
                f"{run.weights_file}: expected weights for vectors of {source.vectors.dim} "
                f"numbers. Received those for {len(given)}. {_AGAIN}"
            )
        kernel[start : start + source.vectors.dim] = given / np.float32(source.factor)
        rest = (weights[f"{direction}/{name}"] for name in ("recurrent_kernel", "bias"))
        layer.set_weights([kernel, *rest])
        layer.trainable = config.train_init


def first_layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the first recurrent layer of each direction, forward first; none if there is none."""
    for layer in model.layers:
        if layer.name == "lstm_1":
            return [layer]
        if layer.name == "bidirectional_1":
            return [layer.forward_layer, layer.backward_layer]
    return []


def find_language_models(folder: str | Path = RUNS_DIR) -> Iterator[LanguageModelRun]:
    """Returns the language models below a folder, finished or not, sorted by name."""
    return map(LanguageModelRun, files.folders_with("language_model.json", folder))
