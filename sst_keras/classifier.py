"""The trained classifier: tokenizer, vocabulary, model and class names as one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import numpy as np
from scipy.special import softmax

# Their layers must be registered before a model is loaded.
import sst_keras.layers
import sst_keras.recurrent  # noqa: F401
from sst_keras.corpora import Split
from sst_keras.encoder import TokenEncoder
from sst_keras.errors import InputError, UsageError, in_one_line
from sst_keras.input_pipeline import evaluation_batches
from sst_keras.models import attention_of, find_encoder, load_model, vocabulary_size
from sst_keras.runs import RunDirectory, open_run
from sst_keras.runtime import keras, tf, uses_tensorflow
from sst_keras.serving.prediction import Predictor
from sst_keras.settings import DataConfig
from sst_keras.tokenizer import tokenize
from sst_keras.vocabulary import UNKNOWN_ID, Vocabulary

_TEXT = [tf.TensorSpec([None], tf.string, name="text")]


class Classifier(tf.Module):
    """Classifies raw texts and the texts of a data set.

    The model maps `token_ids: int32[batch, time]` to `logits: float32[batch, classes]`. The first
    of `class_names` is the lowest class. `batch_tokens` bounds the batches of `probabilities`, as
    `data.batch_tokens` bounds those of training.
    """

    def __init__(
        self,
        model: keras.Model,
        encoder: TokenEncoder,
        class_names: tuple[str, ...],
        batch_tokens: int = DataConfig.batch_tokens,
    ) -> None:
        super().__init__()
        self.encoder, self.batch_tokens = encoder, batch_tokens
        self._class_names = tf.constant(class_names)  # string[classes]
        outputs = {"logits": model.output}
        attention = attention_of(model)
        self._has_attention = attention is not None
        if self._has_attention:
            outputs["attention"] = attention
        # A SavedModel finds the weights through `_weights`. It would write them a second time if it
        # found the models, which are hidden from it in an object that TensorFlow does not know.
        forward = keras.Model(model.input, outputs)
        self._keras = SimpleNamespace(model=model, forward=forward)
        self._weights = [variable.value for variable in model.variables if uses_tensorflow()]

    @classmethod
    def load(cls, run: RunDirectory | str | Path) -> Self:
        """Loads the classifier of a run.

        Raises:
            UsageError: If there is no such run, or it has no model.
            InputError: If a file is damaged or has changed, or the vocabulary is not the model's.
        """
        run = open_run(run)
        run.verify()
        find_encoder(run.pipeline.model.name)  # Another package's layers must be known.
        try:
            model = load_model(run.model_file)
        except InputError:
            raise
        except Exception as error:  # whatever the readers of zip, JSON and HDF5 raise
            raise InputError(
                f"{run.model_file}: expected a Keras model of this package's layers, but it cannot "
                f"be read ({type(error).__name__}: {in_one_line(error)}). Train the run again."
            ) from error
        vocabulary = Vocabulary.load(run.vocabulary_file)
        rows = vocabulary_size(model)
        if len(vocabulary) != rows:
            raise InputError(
                f"{run.vocabulary_file}: expected {rows:,} words, as in the model. Received "
                f"{len(vocabulary):,}: the file was changed. Copy it from the original run."
            )
        data, names = run.pipeline.data, run.class_names
        if len(names) != model.output.shape[-1]:
            raise InputError(
                f"{run.pipeline_file}: expected {model.output.shape[-1]} classes in data.labels, "
                f"as in the model. Received: {', '.join(names) or 'none'}."
            )
        return cls(model, TokenEncoder(vocabulary, data.lowercase), names, data.batch_tokens)

    @property
    def model(self) -> keras.Model:
        """The model of token ids."""
        return self._keras.model

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, lowest first."""
        return tuple(name.decode("utf-8") for name in self._class_names.numpy())

    def probabilities(self, split: Split, batch_size: int = 64) -> np.ndarray:
        """Returns float32[examples, classes] for a split of a data set, in the split's order."""
        batches, order = evaluation_batches(split, self.encoder, batch_size, self.batch_tokens)
        logits = self.model.predict(batches.map(lambda inputs, label: inputs), verbose=0)
        probabilities = np.empty_like(logits)
        probabilities[order] = softmax(logits, axis=-1)
        return probabilities

    def predictor(self) -> Predictor:
        """Returns what predicts raw texts with this classifier, as its export does."""
        return Predictor(self.signatures(), self.class_names, self)

    def signatures(self) -> Mapping[str, Callable]:
        """Returns the functions of raw texts by name.

        - `serving_default`: `text: string[batch]` → `probabilities: float32[batch, classes]`,
          `label: int64[batch]`, `class_name: string[batch]`, and `unknown_words: float32[batch]`,
          the share of the text's tokens that the vocabulary lacks.
        - `explain`, if the model has attention: also `tokens: string[batch, time]`, padded on the
          right with empty strings, and `attention: float32[batch, time]`, 0 at padding, with rows
          that sum to 1.

        No texts give outputs of batch 0 and time 0.

        Raises:
            UsageError: If Keras does not compute with TensorFlow.
        """
        if not uses_tensorflow():
            raise UsageError(
                f"expected Keras with TensorFlow. Received: KERAS_BACKEND="
                f"{keras.backend.backend()}. Load the run in a process without this variable."
            )
        signatures = {"serving_default": self.classify}
        return signatures | ({"explain": self.explain} if self._has_attention else {})

    @tf.function(input_signature=_TEXT)
    def classify(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies string[batch]; see `signatures`."""
        return self._answers(tokenize(text))[0]

    @tf.function(input_signature=_TEXT)
    def explain(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Classifies string[batch] and returns the attention weights; see `signatures`."""
        tokens = tokenize(text)
        answers, attention = self._answers(tokens)
        return {**answers, "tokens": tokens.to_tensor(default_value=""), "attention": attention}

    def _answers(self, tokens: tf.RaggedTensor) -> tuple[dict[str, tf.Tensor], tf.Tensor | None]:
        """Returns the answers for string[batch, (tokens)], and the attention weights if any."""
        token_ids = self.encoder(tokens).to_tensor()  # int32[batch, time]
        batch, time = tf.unstack(tf.shape(token_ids))
        # Recurrent layers need a step: without texts, the model runs on a word and its answer is
        # dropped.
        extra = tf.cast(batch == 0, tf.int32)
        token_ids = tf.pad(token_ids, [[0, extra], [0, extra]], constant_values=1)
        outputs = self._keras.forward({"token_ids": token_ids}, training=False)
        logits, attention = outputs["logits"][:batch], outputs.get("attention")
        label = tf.argmax(logits, axis=-1)  # int64[batch]
        counts = [
            tf.reduce_sum(tf.cast(found, tf.float32), axis=1)
            for found in (token_ids == UNKNOWN_ID, token_ids != 0)
        ]
        answers = {
            "probabilities": tf.nn.softmax(logits),
            "label": label,
            "class_name": tf.gather(self._class_names, label),
            "unknown_words": tf.math.divide_no_nan(*counts)[:batch],
        }
        return answers, None if attention is None else attention[:batch, :time]
