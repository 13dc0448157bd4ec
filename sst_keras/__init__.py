"""Fine-grained sentiment: LSTM classifiers for the Stanford Sentiment Treebank in Keras.

`load` opens a trained model. Importing the package loads nothing heavy; its modules do. Once Keras
is imported as well, `keras.models.load_model` opens a run's `model.keras`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sst_keras.registration import await_keras

if TYPE_CHECKING:
    from sst_keras.serving.prediction import Predictor

__version__ = "0.1.0"

await_keras()


def load(model: str | Path = "small") -> Predictor:
    """Loads a trained model, by default the one that ships with the package.

        model = sst_keras.load()
        model("Not bad.").class_name

    `model` is a run's folder, its name below `saved_models/`, or the folder of an exported
    SavedModel. The predictor returns one `Prediction` for a text, and `model.predict(texts)` a
    list.

    Raises:
        UsageError: If there is no such model.
        InputError: If a file of it is damaged.
    """
    from sst_keras.classifier import Classifier
    from sst_keras.runs import find_export
    from sst_keras.serving.prediction import Predictor

    exported = find_export(model)
    return Predictor.load(exported) if exported else Classifier.load(model).predictor()
