"""Fine-tuning: a run that starts from an earlier one, on other texts, perhaps of other classes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from sst_keras import files
from sst_keras.classifier import Classifier
from sst_keras.errors import InputError, UsageError
from sst_keras.layers import Embedding
from sst_keras.lexicon import KnownWords
from sst_keras.models import EMBEDDING, LOGITS, word_vectors
from sst_keras.pretrained import first_layers
from sst_keras.runs import RunDirectory, lasting_name, open_run
from sst_keras.runtime import keras
from sst_keras.settings import Pipeline, is_read
from sst_keras.vocabulary import UNKNOWN_ID, Vocabulary

log = logging.getLogger(__name__)

# The settings that make the words and the layers what they are.
_SHARED = (
    "data.lowercase", "embedding.vectors", "embedding.key_pattern", "embedding.dim",
    "embedding.scale", "embedding.reduce", "model.name", "model.units", "model.num_layers",
    "model.shortcuts", "model.bidirectional", "model.pooling", "model.padded_length",
    "model.filters", "model.kernel_sizes",
)  # fmt: skip


@dataclass(frozen=True)
class EarlierRun:
    """A run whose words, vectors and layers another run starts from."""

    run: RunDirectory

    @classmethod
    def find(cls, path: str | Path) -> Self:
        """Returns the run at `path` or `saved_models/<path>`.

        Raises:
            UsageError: If there is none, it is not finished, or it is an ensemble.
        """
        try:
            run = open_run(path)
        except UsageError as error:
            raise UsageError(error.message, setting="model.init") from None
        if not run.is_finished:
            raise UsageError(
                f"{run.name} is not finished. Train it to the end first.", setting="model.init"
            )
        if members := run.environment().get("members"):
            names = ", ".join(each["name"] for each in members)
            raise UsageError(
                f"{run.name} is an ensemble. Start from one of its members: {names}.",
                setting="model.init",
            )
        return cls(run)

    @property
    def lasting_name(self) -> str:
        """What finds the run from any folder: its name below `saved_models/`, or its full path."""
        return lasting_name(self.run.path)

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of the model's file."""
        return files.sha256(self.run.model_file)

    @cached_property
    def classifier(self) -> Classifier:
        """The trained classifier; a damaged file raises an `InputError`."""
        return Classifier.load(self.run)

    def words(self) -> KnownWords:
        """Returns the run's words with their vectors, as training left them."""
        vocabulary = Vocabulary.load(self.run.vocabulary_file)
        matrix = word_vectors(self.classifier.model.get_layer(EMBEDDING))
        sets = self.run.environment().get("vectors", [])  # empty if learned from scratch
        return KnownWords(self.lasting_name, vocabulary, matrix, sets)

    @property
    def units(self) -> int | None:
        """The width of the first recurrent layer, per direction; None if there is none."""
        layers = first_layers(self.classifier.model)
        return layers[0].units if layers else None

    def pipeline(self, recipe: Pipeline) -> Pipeline:
        """Returns what trains the run's words, vectors and layers as a pipeline says.

        The settings of `training` are the recipe's, and those of `data`, apart from
        `data.lowercase` and `data.vector_words`. These and the others are the run's.
        """
        old, data = self.run.pipeline, recipe.data
        words = {name: getattr(old.data, name) for name in ("lowercase", "vector_words")}
        sections = ("embedding", "model")
        unused = [
            name
            for name in recipe.changes()
            if name.partition(".")[0] in sections or name.removeprefix("data.") in words
        ]
        if unused:
            log.warning(
                f"The words and layers are those of {self.lasting_name}. These settings of "
                f"{recipe.name} are not used: {', '.join(unused)}."
            )
        model = replace(old.model, init=self.lasting_name, train_init=True)
        return replace(recipe, data=replace(data, **words), embedding=old.embedding, model=model)

    def check(self, pipeline: Pipeline) -> None:
        """Checks that a pipeline has the words and layers of the run; else: `UsageError`."""
        mine, given = self.pipeline(Pipeline()).settings(), pipeline.settings()
        differences = [
            f"{name} is {mine[name]!r}, not {given[name]!r}"
            for name in _SHARED
            if is_read(name, mine) and mine[name] != given[name]
        ]
        if differences:
            raise UsageError(
                f"{self.lasting_name} has other words or layers: {'; '.join(differences)}. Leave "
                f"these settings as they are in the run.",
                setting="model.init",
            )

    def start(self, model: keras.Model, class_names: Sequence[str], train_all: bool) -> None:
        """Gives a model the run's weights, and freezes what was frozen in the run.

        The rows of the model's embedding that the run does not have stay as they are. The last
        layer gets its weights only if the classes are the run's. Unless `train_all`, only the last
        layer trains.

        Raises:
            InputError: If the run's model has other layers than its settings say.
        """
        old, same = self.classifier.model, tuple(class_names) == self.classifier.class_names
        known = {layer.name: layer for layer in old.layers}
        unknown = word_vectors(known[EMBEDDING])[UNKNOWN_ID]  # what new words have without a vector
        for layer in model.layers:
            if not layer.weights or (layer.name == LOGITS and not same):
                continue
            if layer.name not in known:
                raise self._misfit(layer)
            weights, given = layer.get_weights(), known[layer.name].get_weights()
            if isinstance(layer, Embedding):  # new words keep their rows
                given = word_vectors(known[layer.name])
                rows = weights[0][len(given) :]
                # A model can have a second layer of vectors, with another row of the unknown word.
                rows = np.where(rows == unknown, given[UNKNOWN_ID], rows)
                given = [np.concatenate([given, rows])]
            if [each.shape for each in weights] != [each.shape for each in given]:
                raise self._misfit(layer)
            layer.set_weights(given)
            if isinstance(layer, Embedding):
                layer.trainable = layer.trainable and train_all
                continue
            for part in _parts(layer):
                is_free = part.name not in self.frozen
                part.trainable = is_free and (train_all or layer.name == LOGITS)
        log.info(
            f"Starts from {self.lasting_name}"
            + ("." if same else ", with a new last layer, because the classes differ.")
        )

    @cached_property
    def frozen(self) -> frozenset[str]:
        """The names of the layers that never train.

        In a run that trained only its last layer, they are those of the run that it started from.
        """
        before = self.run.environment().get("earlier_run", {})
        if not self.run.pipeline.model.train_init and "frozen" in before:
            return frozenset(before["frozen"])
        layers = [layer for layer in self.classifier.model.layers if layer.weights]
        parts = [part for layer in layers for part in _parts(layer)]
        return frozenset(
            part.name
            for part in parts
            if not (part.trainable or isinstance(part, Embedding))  # settings say if these train
        )

    def _misfit(self, layer: keras.Layer) -> InputError:
        return InputError(
            f"{self.run.model_file}: expected the layers that {self.run.pipeline_file.name} "
            f"describes. Received others at {layer.name}. Train the run again with this version."
        )

    def forget(self) -> None:
        """Frees the memory of the classifier. It is loaded again if it is needed."""
        self.__dict__.pop("classifier", None)

    def to_dict(self) -> dict[str, Any]:
        """Returns name, pipeline, data set, fingerprint and what it learned from, for JSON."""
        pipeline = self.run.pipeline
        return {
            "name": self.lasting_name,
            "pipeline": pipeline.name,
            "dataset": pipeline.data.dataset,
            "fingerprint": self.fingerprint,
            "frozen": sorted(self.frozen),
            **self.run.sources(),
        }


def _parts(layer: keras.Layer) -> list[keras.Layer]:
    """Returns a layer, and the layers of both directions if it has them."""
    if isinstance(layer, keras.layers.Bidirectional):
        return [layer, layer.forward_layer, layer.backward_layer]
    return [layer]
