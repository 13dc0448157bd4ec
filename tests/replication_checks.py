"""Trains alone and on two devices: `python -m tests.replication_checks FOLDER`.

TensorFlow divides its devices before it runs anything, so this is a process of its own. It writes
`histories.json`: a history of each run, by name. The runs `one` and `two` have the same settings.
"""

import json
import sys
from pathlib import Path

import tensorflow as tf

from sst_keras.config import load_pipeline
from sst_keras.runs import new_run
from sst_keras.training import train

# Batches of 33 texts, and of one if they are long: neither can be halved.
SETTINGS = [
    "data.dataset=sample", "data.batch_size=33", "data.batch_tokens=250", "data.root_weight=3",
    "data.examples=sampled-phrases", "data.phrases_per_sentence=1", "embedding.vectors=none",
    "embedding.dim=8", "model.units=8", "model.bidirectional=true", "training.epochs=1",
    "training.average=0.9", "training.clip_norm=0.5", "training.l2=1e-4",
    "training.weight_decay=0.01", "training.checks_per_epoch=2", "training.monitor=macro-f1",
]  # fmt: skip
WITHOUT_DROPOUT = ["model.dropout=0", "embedding.dropout=0"]


def main(folder: Path) -> None:
    """Trains."""
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    histories = {}
    for name, strategy, more in (
        ("one", "", WITHOUT_DROPOUT),
        ("two", "mirrored", WITHOUT_DROPOUT),
        ("dropout", "mirrored", ["embedding.word_dropout=0.1", "model.weight_dropout=0.1"]),
    ):
        pipeline = load_pipeline("lstm-attention", [*SETTINGS, *more])
        result = train(pipeline, new_run(pipeline, folder / name), strategy=strategy)
        histories[name] = list(result.history.rows)
    (folder / "histories.json").write_text(json.dumps(histories), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
