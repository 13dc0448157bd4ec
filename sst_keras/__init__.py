"""Fine-grained sentiment: LSTM classifiers for the Stanford Sentiment Treebank in Keras.

`load` opens a trained model, and `train` makes one from texts in memory. Importing the package
loads nothing heavy; its modules do. Once Keras is imported as well, `keras.models.load_model` opens
a run's `model.keras`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sst_keras.errors import InputError, UsageError
from sst_keras.registration import await_keras

if TYPE_CHECKING:
    from sst_keras.serving.prediction import Predictor
    from sst_keras.training import TrainingResult

__version__ = "0.1.0"
__all__ = ["InputError", "UsageError", "load", "train"]

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


def train(
    texts: Iterable[str],
    labels: Iterable[str | int | float],
    pipeline: str | Path = "lstm-attention",
    settings: Iterable[str] = (),
    run_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
) -> TrainingResult:
    """Trains on texts and labels in memory, such as two columns of a data frame.

        result = sst_keras.train(frame["text"], frame["stars"], settings=["training.epochs=5"])
        model = sst_keras.load(result.run.path)

    They are written to a file in the run's folder and read as any file of your own: checked,
    classes put into order, split 80/10/10. The run is then one like any other.

    Args:
        texts: The texts.
        labels: The class of each text: a word or a number.
        pipeline: A name that `sst-keras pipelines` lists, or the path of a TOML file.
        settings: Changes of its settings, as `section.key=value`.
        run_dir: The run's folder; None for a new one below `saved_models/`.
        data_dir: The folder that has `vectors/`, instead of the environment's.

    Raises:
        UsageError: If the numbers of texts and labels differ, a text is no string, a setting is
            unknown, or `run_dir` holds a finished run.
        InputError: If a label is neither a word nor a number, or there are too few texts.
    """
    from sst_keras.memory import train_in_memory

    return train_in_memory(texts, labels, pipeline, settings, run_dir, data_dir)
