"""Raw texts → `Prediction`s. An exported model needs only TensorFlow and its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras.errors import InputError, UsageError
from sst_keras.runtime import tf

_BATCH_SIZE = 512


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for a text.

    Attributes:
        text: The text.
        label: The most probable class, from 0.
        class_name: Its name.
        probabilities: Class name → probability, lowest class first.
        tokens: The text's tokens, if attention was asked for and the model has it.
        attention: The weight of each token, likewise; the weights sum to 1.
    """

    text: str
    label: int
    class_name: str
    probabilities: dict[str, float]
    tokens: tuple[str, ...] | None = None
    attention: tuple[float, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields that have a value, for JSON."""
        return {name: value for name, value in vars(self).items() if value is not None}


class Predictor:
    """Predicts raw texts: `predictor("Not bad.")`.

    Args:
        signatures: `serving_default` and perhaps `explain`, as `Classifier.signatures` has them.
        class_names: The classes, lowest first.
        owner: The object that holds the weights, which must live as long as the functions.
    """

    def __init__(
        self, signatures: Mapping[str, Callable], class_names: tuple[str, ...], owner: Any
    ) -> None:
        """Makes the predictor; see the class for the arguments."""
        self._signatures = signatures
        self.class_names = class_names
        self._owner = owner

    @classmethod
    def load(cls, folder: str | Path) -> Predictor:
        """Loads a SavedModel that `sst-keras export` made.

        Raises:
            UsageError: If the folder holds no SavedModel.
            InputError: If the SavedModel is damaged, or something else made it.
        """
        if not (Path(folder) / "saved_model.pb").is_file():
            raise UsageError(
                f"Expected a folder with an exported model (saved_model.pb). Received: "
                f"{str(folder)!r}. Make one with `sst-keras export RUN`."
            )
        try:
            loaded = tf.saved_model.load(str(folder))
        except (ValueError, OSError, KeyError, IndexError, tf.errors.OpError) as error:
            raise InputError(
                f"{folder}: expected a SavedModel, but it cannot be read ({type(error).__name__}): "
                f"files are missing or damaged. Export it again with `sst-keras export RUN`."
            ) from error
        if not hasattr(loaded, "class_names"):
            raise InputError(
                f"{folder}: expected a model that `sst-keras export` made. Received another one."
            )
        names = tuple(name.decode() for name in loaded.class_names.numpy())
        return cls(loaded.signatures, names, loaded)

    @property
    def has_attention(self) -> bool:
        """Whether the model has attention weights, which explain a prediction."""
        return "explain" in self._signatures

    def __call__(self, text: str) -> Prediction:
        """Returns the prediction for one text, with attention if the model has it."""
        return self.predict([text], explain=True)[0]

    def predict(self, texts: Sequence[str], explain: bool = False) -> list[Prediction]:
        """Predicts texts.

        Args:
            texts: Raw English.
            explain: Whether to return the attention weights too, if the model has them.

        Returns:
            One prediction per text, in order.

        Raises:
            UsageError: If `texts` is a single string.
        """
        if isinstance(texts, str):
            raise UsageError("expected a list of texts. Received a single one.", setting="texts")
        run = self._signatures["explain" if explain and self.has_attention else "serving_default"]
        predictions: list[Prediction] = []
        for start in range(0, len(texts), _BATCH_SIZE):
            batch = list(texts[start : start + _BATCH_SIZE])
            answers = {name: value.numpy() for name, value in run(tf.constant(batch)).items()}
            predictions += [self._prediction(text, answers, row) for row, text in enumerate(batch)]
        return predictions

    def _prediction(self, text: str, answers: dict[str, np.ndarray], row: int) -> Prediction:
        """Returns one row of a batch's answers."""
        probabilities = [float(number) for number in answers["probabilities"][row]]
        tokens = attention = None
        if "attention" in answers:
            tokens = tuple(token.decode() for token in answers["tokens"][row] if token)
            attention = tuple(float(weight) for weight in answers["attention"][row][: len(tokens)])
        return Prediction(
            text,
            int(answers["label"][row]),
            answers["class_name"][row].decode(),
            dict(zip(self.class_names, probabilities, strict=True)),
            tokens,
            attention,
        )
