"""What threads and batches change in an answer, on the test sentences of SST-5.

    SST_KERAS_DATA=... python benchmarks/same_answers.py small

Each sentence is answered alone, among others in several orders, and with one thread and two. Float
sums depend on their order, so probabilities differ in their last digits; labels should not.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import records

NAME = "same_answers"
BATCHES = (1, 7, 64, 512)


def probabilities(model: str, batch: int, seed: int) -> np.ndarray:
    """Returns float32[sentences, classes], with the sentences shuffled by `seed` into batches."""
    import tensorflow as tf

    import sst_keras
    from sst_keras.corpora import load_corpus
    from sst_keras.settings import DataConfig

    texts = load_corpus(DataConfig(dataset="sst5")).test.texts
    sentences = np.array([" ".join(texts.row(row)) for row in range(len(texts))], object)
    run = sst_keras.load(model)._signatures["serving_default"]
    order = np.random.default_rng(seed).permutation(len(sentences))
    found = [
        run(tf.constant(list(sentences[order[start : start + batch]])))["probabilities"].numpy()
        for start in range(0, len(order), batch)
    ]
    answers = np.empty((len(order), found[0].shape[1]), np.float32)
    answers[order] = np.concatenate(found)
    return answers


@click.command()
@click.argument("model", default="small")
@click.option("--one", nargs=3, type=str, hidden=True, help="Batch, seed and file of one way.")
def main(model: str, one: tuple[str, str, str] | None) -> None:
    """Compare the answers of a RUN or EXPORT."""
    if one:
        np.save(one[2], probabilities(model, int(one[0]), int(one[1])))
        return
    ways = [(threads, batch) for threads in (1, 2) for batch in BATCHES]
    answers = []
    with tempfile.TemporaryDirectory() as folder, click.progressbar(ways) as shown:
        for seed, (threads, batch) in enumerate(shown):
            file = Path(folder) / "found.npy"
            environment = os.environ | {
                "TF_NUM_INTEROP_THREADS": str(threads), "TF_NUM_INTRAOP_THREADS": str(threads),
            }  # fmt: skip
            command = [sys.executable, __file__, model, "--one", str(batch), str(seed), str(file)]
            subprocess.run(command, env=environment, check=True)
            answers.append(np.load(file))
    stacked = np.stack(answers)  # float32[ways, sentences, classes]
    labels = stacked.argmax(axis=2)
    record = records.append(
        NAME,
        ("keras", "tensorflow", "sst-keras"),
        model=Path(model).name,
        sentences=len(answers[0]),
        ways=[{"threads": threads, "batch": batch} for threads, batch in ways],
        greatest_difference=float(np.ptp(stacked, axis=0).max()),
        labels_changed=int((labels != labels[0]).any(axis=0).sum()),
    )
    click.echo(
        f"{record['sentences']:,} sentences in {len(ways)} ways: {record['labels_changed']} labels "
        f"changed; probabilities differ by at most {record['greatest_difference']:.1e}."
    )


if __name__ == "__main__":
    main()
