"""What every backend of Keras must answer alike: `python -m tests.backend_checks FOLDER`.

Each `NAME.keras` of the folder gets a `NAME.BACKEND.npz` with its logits on fixed texts, and with
what a step of gradient descent takes from each weight: the gradients. `optimizers.BACKEND.npz` has
a weight after three steps of each optimizer.
"""

import sys
from pathlib import Path

import numpy as np

import sst_keras.layers
import sst_keras.recurrent  # noqa: F401
from sst_keras.losses import CrossEntropy
from sst_keras.optimizers import make_optimizer
from sst_keras.runtime import keras, uses_tensorflow
from sst_keras.settings import OPTIMIZERS

WORDS, CLASSES = 30, 5


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Returns ids int32[5, 9] of texts of 9, 7, 4, 1 and 0 words, and labels int32[5]."""
    ids = np.random.default_rng(1).integers(1, WORDS, (5, 9)).astype(np.int32)
    for row, length in zip(ids, (9, 7, 4, 1, 0), strict=True):
        row[length:] = 0
    return ids, np.array([0, 1, 2, 3, 4], np.int32)


def answers(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the logits, and the gradient of each weight by its place."""
    ids, labels = batch()
    logits = keras.ops.convert_to_numpy(model({"token_ids": ids}, training=False))
    model.compile(
        make_optimizer("sgd", 1.0), CrossEntropy(), jit_compile=False, run_eagerly=uses_tensorflow()
    )
    before = [weight.numpy() for weight in model.trainable_variables]
    model.train_on_batch({"token_ids": ids[:4]}, labels[:4])  # a mean over no words has no gradient
    after = [weight.numpy() for weight in model.trainable_variables]
    pairs = enumerate(zip(before, after, strict=True))
    return {"logits": logits} | {f"gradient_{place}": old - new for place, (old, new) in pairs}


def trained_weights() -> dict[str, np.ndarray]:
    """Returns optimizer → a weight after three steps, in which its first row has no gradient."""
    found = {}
    gradients = np.random.default_rng(2).normal(size=(3, 4, 2)).astype(np.float32)
    gradients[:, 0] = 0
    for name in OPTIMIZERS:
        if name == "lazy-adam":  # for TensorFlow only
            continue
        weight = keras.Variable(np.ones((4, 2), np.float32))
        optimizer = make_optimizer(name, 0.1, l2=0.01, weight_decay=0.02, clip_norm=1.0)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        found[name] = weight.numpy()
    return found


def main(folder: Path) -> None:
    """Writes the answers of this process's backend."""
    backend = keras.backend.backend()
    np.savez(folder / f"optimizers.{backend}.npz", **trained_weights())
    for file in sorted(folder.glob("*.keras")):
        found = answers(keras.models.load_model(file, compile=False))
        np.savez(folder / f"{file.stem}.{backend}.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
