"""Trains alone and on two devices: `python -m tests.replication_checks FOLDER`.

TensorFlow divides its devices before it runs anything, so this is a process of its own. It writes
`histories.json`: a history of each run, by name. The runs `one` and `two` have the same settings.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from sst_keras.config import load_pipeline
from sst_keras.runs import new_run
from sst_keras.training import train

# Batches of 13 texts, and of one if they are long: neither can be halved.
SETTINGS = [
    "data.batch_size=13", "data.batch_tokens=100", "data.class_weights=balanced",
    "embedding.vectors=none",
    "embedding.dim=8", "model.units=8", "training.epochs=1",
    "training.average=0.9", "training.clip_norm=0.5", "training.l2=1e-4",
    "training.weight_decay=0.01", "training.checks_per_epoch=2", "training.monitor=macro-f1",
]  # fmt: skip
WITHOUT_DROPOUT = ["model.dropout=0", "embedding.dropout=0"]


def write_texts(path: Path) -> Path:
    """Writes 160 texts of 1 to 50 words in three classes."""
    random = np.random.default_rng(0)
    words = ["bad", "fair", "good", "film", "plot", "very"]
    lines = ["text,label"]
    for number in range(160):
        length = random.integers(40, 51) if number % 20 == 0 else random.integers(1, 12)
        lines.append(f"{' '.join(random.choice(words, length))} {number},{number % 7 // 3}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def main(folder: Path) -> None:
    """Trains."""
    dataset = f"data.dataset={write_texts(folder / 'texts.csv')}"
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    histories = {}
    for name, strategy, more in (
        ("one", "", WITHOUT_DROPOUT),
        ("two", "mirrored", WITHOUT_DROPOUT),
        ("dropout", "mirrored", ["embedding.word_dropout=0.1", "model.weight_dropout=0.1"]),
    ):
        pipeline = load_pipeline("lstm-attention", [dataset, *SETTINGS, *more])
        result = train(pipeline, new_run(pipeline, folder / name), strategy=strategy)
        histories[name] = list(result.history.rows)
    (folder / "histories.json").write_text(json.dumps(histories), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
