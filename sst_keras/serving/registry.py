"""The models of a server: paths → exported models by name and version."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sst_keras.errors import InputError, UsageError
from sst_keras.runs import RunDirectory, model_places, versions_in
from sst_keras.runtime import signature_definitions
from sst_keras.serving.prediction import Predictor

_NAME = re.compile(r"[^/:=\s]+")
_FILE = "saved_model.pb"


@dataclass(frozen=True)
class ServedModel:
    """A version of a model that a server answers with."""

    name: str
    version: int
    folder: Path

    @cached_property
    def predictor(self) -> Predictor:
        """The loaded model; a damaged one raises an `InputError`."""
        return Predictor.load(self.folder)

    @cached_property
    def signatures(self) -> dict[str, Any]:
        """Its signature definitions by name, as TensorFlow Serving writes them as JSON."""
        from google.protobuf.json_format import MessageToDict
        from google.protobuf.message import DecodeError

        try:
            definitions = signature_definitions(self.folder / _FILE)
        except DecodeError:
            raise InputError(f"{self.folder / _FILE}: expected a SavedModel.") from None
        return {
            name: MessageToDict(
                definitions[name],
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
            )
            for name in self.predictor.signatures
        }


Models = Mapping[str, Mapping[int, ServedModel]]  # name → version → model


def find_models(places: Sequence[str]) -> Models:
    """Returns the models at some places, which are not loaded yet.

    A place is a run, an exported SavedModel, a folder with numbered versions of one, or a folder of
    such folders, as TensorFlow Serving has them. `NAME=PLACE` gives a single model another name.

    Raises:
        UsageError: If there is no model at a place, or two have the same name and version.
    """
    found: dict[str, dict[int, ServedModel]] = {}
    for place in places:
        name, models = "", _models_at(Path(place), "")
        if not models and "=" in place:
            name, _, path = place.partition("=")
            models = _models_at(Path(path), name)
        if not models:
            raise UsageError(
                f"there is no exported model at {place!r}. `sst-keras export RUN` makes one."
            )
        if name and any(model.name != name for model in models):
            raise UsageError(f"{place!r} has several models, which cannot have one name.")
        for model in models:
            versions = found.setdefault(model.name, {})
            if model.version in versions:
                raise UsageError(
                    f"expected each name and version once. {model.folder} and "
                    f"{versions[model.version].folder} are both {model.name}, version "
                    f"{model.version}. Give one another name: NAME={model.folder}."
                )
            versions[model.version] = model
    return found


def _models_at(path: Path, name: str) -> list[ServedModel]:
    for folder in model_places(path):
        if (folder / _FILE).is_file():
            return [_export(folder, name)]
        run = RunDirectory(folder)
        if run.pipeline_file.is_file():
            run_name = name or re.sub(r"[/:=\s]", "-", run.name)
            return _versions(run.saved_model_dir.parent, run_name)
        if versions := _versions(folder, name or folder.resolve().name):
            return versions
        if folder.is_dir():
            parts = sorted(each for each in folder.iterdir() if each.is_dir())
            models = [model for part in parts for model in _versions(part, part.name)]
            if models:
                return models
    return []


def _versions(folder: Path, name: str) -> list[ServedModel]:
    if not folder.is_dir() or not _NAME.fullmatch(name):
        return []
    return [ServedModel(name, int(each.name), each) for each in versions_in(folder)]


def _export(folder: Path, name: str) -> ServedModel:
    """Returns an export; its folder may be a version, in a run's `saved_model/` or elsewhere."""
    folder = folder.resolve()
    if not folder.name.isdecimal():
        return ServedModel(name or folder.name, 1, folder)
    above = folder.parent
    if above.name == "saved_model" and RunDirectory(above.parent).pipeline_file.is_file():
        above = above.parent
    return ServedModel(name or above.name, int(folder.name), folder)
