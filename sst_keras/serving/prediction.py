"""Raw texts → `Prediction`s. An exported model needs only TensorFlow and its folder."""

import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.runtime import tf
from sst_keras.texts import batch_sizes

CHECKSUMS = "assets.extra/checksums.json"  # in a SavedModel

# The most texts and characters per batch, padding included. Characters bound the tokens, of which
# the texts must be cut first to be counted: English has one in five characters, no text has more
# than one in each.
_BATCH_SIZE = 512
_BATCH_CHARACTERS = 2**17


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for a text.

    Attributes:
        label: The place of the most probable class, counted from 0, so the lowest of the stars 1 to
            5 has the label 0. `class_name` is the name of this class, as in the data set.
        probabilities: Class name → probability, lowest class first.
        tokens: The text's tokens, if attention was asked for and the model has it.
        attention: The weight of each of the tokens; the weights sum to 1.
        unknown_words: The share of the text's tokens that the model does not know. None for a model
            that an earlier version exported.
    """

    text: str
    label: int
    class_name: str
    probabilities: dict[str, float]
    tokens: tuple[str, ...] | None = None
    attention: tuple[float, ...] | None = None
    unknown_words: float | None = None

    @property
    def is_a_guess(self) -> bool:
        """Whether the model knows less than half of the text's tokens."""
        return self.unknown_words is not None and self.unknown_words > 0.5

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields that have a value, for JSON."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def _repr_html_(self) -> str:
        """Returns what a notebook shows: the text, shaded by attention, and bars of the classes."""
        words = [html.escape(self.text)]
        if self.tokens:
            words = [
                f'<span style="background: rgba(66, 133, 244, {weight:.2f})">{html.escape(token)}'
                f"</span>"
                for token, weight in zip(self.tokens, self.attention, strict=True)
            ]
        rows = [
            f"<tr><td>{html.escape(name)}</td><td>{share:.0%}</td><td>"
            f'<div style="background: #4285f4; height: 0.8em; width: {share:.0%}"></div></td></tr>'
            for name, share in self.probabilities.items()
        ]
        bars = f'<table style="width: 24em">{"".join(rows)}</table>'
        return f"<p>{' '.join(words)} → <b>{html.escape(self.class_name)}</b></p>{bars}"


class Predictor:
    """Predicts raw texts: `predictor("Not bad.")`.

    Args:
        signatures: `serving_default` and perhaps `explain`; see `Classifier.signatures`.
        class_names: The classes, lowest first.
        owner: The object that holds the weights, which must live as long as the functions.
    """

    def __init__(
        self, signatures: Mapping[str, Callable], class_names: tuple[str, ...], owner: Any
    ) -> None:
        self.class_names = class_names
        self._signatures, self._owner = signatures, owner

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Loads a SavedModel that `sst-keras export` made.

        Raises:
            UsageError: If the folder holds no SavedModel.
            InputError: If the SavedModel is damaged or has changed, or something else made it.
        """
        if not (Path(folder) / "saved_model.pb").is_file():
            raise UsageError(
                f"Expected a folder with an exported model (saved_model.pb). Received: "
                f"{str(folder)!r}. Make one with `sst-keras export RUN`."
            )
        files.verify_checksums(Path(folder) / CHECKSUMS, Path(folder), ["saved_model.pb"])
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

    def predict(self, texts: Iterable[str], explain: bool = False) -> list[Prediction]:
        """Returns one prediction per text, in order. `explain` adds attention, if the model has it.

        Texts of similar length are predicted together, long ones few at a time, to need less time
        and memory. Anything but a list of strings raises a `UsageError`.
        """
        received = texts
        # One text would be a list of letters, and a generator can be read only once.
        texts = (
            list(texts) if isinstance(texts, Iterable) and not isinstance(texts, str) else [None]
        )
        if not all(isinstance(text, str) for text in texts):
            message = f"expected a list of texts. Received: {received!r:.60}"
            raise UsageError(message, setting="texts")
        signature = "explain" if explain and self.has_attention else "serving_default"
        answers = self.answers(texts, signature)
        return [self.prediction(*pair) for pair in zip(texts, answers, strict=True)]

    @property
    def signatures(self) -> tuple[str, ...]:
        """The names of the functions that `answers` can call."""
        return tuple(self._signatures)

    def answers(self, texts: Sequence[str | bytes], signature: str) -> list[dict[str, Any]]:
        """Returns what a signature answers for each text: name of the output → its row.

        Texts are batched as `predict` says. Tokens and attention are without the batch's padding,
        so that an answer does not depend on the other texts.
        """
        run = self._signatures[signature]
        lengths = np.array([len(text) for text in texts], np.int64)
        order = np.argsort(lengths, kind="stable")
        sizes = batch_sizes(lengths[order], _BATCH_SIZE, _BATCH_CHARACTERS)
        answers: list[Any] = [None] * len(texts)
        for batch in np.split(order, np.cumsum(sizes)[:-1]) if sizes else ():
            outputs = run(tf.constant([texts[place] for place in batch]))
            columns = {name: value.numpy() for name, value in outputs.items()}
            for row, place in enumerate(batch):
                answers[place] = {name: values[row] for name, values in columns.items()}
                if "tokens" in columns:
                    length = np.count_nonzero(answers[place]["tokens"] != b"")
                    for name in ("tokens", "attention"):
                        answers[place][name] = answers[place][name][:length]
        return answers

    def probabilities(self, answer: Mapping[str, Any]) -> dict[str, float]:
        """Returns class name → probability, of a text's answer by `answers`."""
        return dict(zip(self.class_names, answer["probabilities"].tolist(), strict=True))

    def prediction(self, text: str, answer: Mapping[str, Any]) -> Prediction:
        """Returns the prediction for a text from its answer by `answers`."""
        probabilities = self.probabilities(answer)
        tokens = attention = None
        if "attention" in answer:
            tokens = tuple(token.decode() for token in answer["tokens"])
            attention = tuple(answer["attention"].tolist())
        label, class_name = int(answer["label"]), answer["class_name"].decode()
        unknown = float(answer["unknown_words"]) if "unknown_words" in answer else None
        return Prediction(text, label, class_name, probabilities, tokens, attention, unknown)
