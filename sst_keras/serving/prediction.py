"""An exported SavedModel and texts → `Prediction`s. Needs TensorFlow and the folder, no more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras.errors import InputError, UsageError
from sst_keras.runtime import tf

_BATCH_SIZE = 512


@dataclass(frozen=True)
class Prediction:
    """What a model says of a text.

    Attributes:
        text: The text.
        label: The likeliest class, from 0.
        class_name: Its name.
        probabilities: Class name → probability, in the order of the scale.
        tokens: The text's tokens, where the model has attention and it was asked for.
        attention: The weight of each token, summing to 1, likewise.
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
    """A SavedModel, loaded.

    Args:
        folder: The SavedModel's folder.

    Raises:
        UsageError: If the folder holds no SavedModel.
        InputError: If it holds one that `sst-keras export` did not make.
    """

    def __init__(self, folder: str | Path) -> None:
        """Loads the SavedModel; see the class for the argument."""
        if not (Path(folder) / "saved_model.pb").is_file():
            raise UsageError(
                f"Expected a folder with an exported model (saved_model.pb). Received: "
                f"{str(folder)!r}. Make one with `sst-keras export RUN`."
            )
        try:
            self._loaded = tf.saved_model.load(str(folder))
        except (ValueError, OSError, tf.errors.OpError) as error:
            raise InputError(
                f"{folder}: expected a SavedModel, but it cannot be read ({type(error).__name__}): "
                f"files are missing or damaged. Export it again with `sst-keras export RUN`."
            ) from error
        if not hasattr(self._loaded, "class_names"):
            raise InputError(
                f"{folder}: expected a model that `sst-keras export` made. Received another one."
            )
        self.class_names = tuple(name.decode() for name in self._loaded.class_names.numpy())

    @property
    def has_attention(self) -> bool:
        """Whether the model can tell how much each token weighed."""
        return "explain" in self._loaded.signatures

    def predict(self, texts: Sequence[str], explain: bool = False) -> list[Prediction]:
        """Classifies texts.

        Args:
            texts: Raw English.
            explain: Whether to tell how much each token weighed, where the model can.

        Returns:
            A prediction a text, in their order.
        """
        signature = "explain" if explain and self.has_attention else "serving_default"
        run = self._loaded.signatures[signature]
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
