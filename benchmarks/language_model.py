"""A language model's training against PyTorch's: the same weights, batches, samples and optimizers.

    python benchmarks/language_model.py --torch-python PYTHON

PYTHON has `torch==2.13.0`, in an environment of its own. Before anything is timed, the losses of
the first step must agree to 1e-4 and those of the second, after an update, to 1e-3 (bfloat16:
2e-2). Then the sides take turns, each with one pass over the same batches. Both find their batches
in memory.

PyTorch runs packed and padded, in float32 and under bfloat16 autocast. Padded, its backward
direction reads the padding first, unlike ours, so its loss is not compared there. Its LSTM trains
by its fused Adam and its softmax, two sparse embeddings, by its SparseAdam. The word vectors are
random, which makes no difference to the speed.

Wall time is what counts. CPU time is recorded too: other programs lengthen it less. On a busy
machine, PyTorch's threads wait for each other after each operation. With `taskset -c 0` before the
command, both sides run on one core, and other programs slow both alike.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import Any

import click
import numpy as np
import records
from sides import DIM, Torch, faster, keras, ratio, tf

from sst_keras.engines.local import cores
from sst_keras.pretraining.corpus import TextCorpus, prepare_corpus
from sst_keras.pretraining.language_model import (
    LanguageModel,
    Sentences,
    Trainer,
    sampling_probabilities,
)
from sst_keras.settings import LanguageModelConfig

UNITS = (256, 512)
TOLERANCES = {"float32": (1e-4, 1e-3), "bfloat16": (2e-2, 2e-2)}  # of the first two losses
_VECTORS = 50_000  # of the most frequent words; all others share one
_MEASURES = ("wall", "cpu")


def make_trainer(corpus: TextCorpus, config: LanguageModelConfig) -> tuple[Trainer, np.ndarray]:
    """Returns our side and its word vectors float32[rows, dim]."""
    keras.utils.set_random_seed(config.seed)
    matrix = np.random.default_rng(1).normal(0, config.scale, (_VECTORS + 2, DIM))
    matrix = matrix.astype(np.float32)
    words = np.arange(len(corpus.words), dtype=np.int32)
    sentences = Sentences(corpus, config, np.where(words < _VECTORS, words + 2, 1))
    model = LanguageModel(config, matrix, sentences.class_counts(corpus.counts))
    return Trainer(config, model, sentences), matrix


def compare(
    corpus: TextCorpus, torch: Torch, units: int, batches: int, rounds: int
) -> dict[str, Any]:
    """Times one width on both sides.

    Returns:
        `runs` (side → measure → the seconds of each pass; None if PyTorch cannot run it), `tokens`
        of a pass, `classes`, and `torch`, PyTorch's version.
    """
    config = LanguageModelConfig(units=units)
    trainer, matrix = make_trainer(corpus, config)
    pieces, random = trainer.sentences.part(0, 0), np.random.default_rng(config.seed)
    dataset = trainer.sentences.batches(pieces, config.batch_size, random).take(batches).cache()
    arrays = {
        f"{name}_{number}": value.numpy()
        for number, batch in enumerate(dataset)
        for name, value in batch.items()
    }
    if f"lengths_{batches - 1}" not in arrays:
        raise SystemExit(
            f"{corpus.name}: expected more sentences; {batches} batches were asked for."
        )
    starts = [tf.random.stateless_uniform([2], [config.seed, step]) for step in range(batches)]
    counts = trainer.sentences.class_counts(corpus.counts)
    arrays |= trainer.model.weights(1.0)
    arrays |= {"steps": batches, "starts": np.stack(starts), "matrix": matrix}
    arrays["probabilities"] = sampling_probabilities(counts, config.negatives)
    version = torch.load(
        {"units": units, "learning_rate": config.learning_rate, "clip_norm": 1.0}, arrays
    )

    sides, runs = {}, {}
    for dtype in TOLERANCES:
        if dtype != config.matmul_dtype:
            trainer, _ = make_trainer(corpus, LanguageModelConfig(units=units, matmul_dtype=dtype))
        losses = [
            float(trainer.run_steps(iter(dataset.skip(n)), tf.constant(1))[0]) for n in (0, 1)
        ]
        sides[f"ours {dtype}"] = partial(_our_seconds, trainer, dataset, batches)
        for form in (f"packed {dtype}", f"padded {dtype}"):
            answer = torch.ask(do="pretrain", form=form)
            if "refused" in answer:
                runs[form] = None
                continue
            if form.startswith("packed"):
                np.testing.assert_array_less(
                    np.abs(np.subtract(losses, answer["losses"][:2])), TOLERANCES[dtype]
                )
            sides[form] = partial(torch.ask, do="pretrain", form=form)
        sides[f"ours {dtype}"]()  # once, untimed
    runs |= {side: {measure: [] for measure in _MEASURES} for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            seconds = run()
            for measure in _MEASURES:
                runs[side][measure].append(seconds[measure])
    tokens = sum(int(arrays[f"lengths_{number}"].sum()) for number in range(batches))
    return {"runs": runs, "tokens": tokens, "classes": len(counts), "torch": version}


def _our_seconds(trainer: Trainer, dataset: tf.data.Dataset, steps: int) -> dict[str, float]:
    started = time.perf_counter(), time.process_time()
    loss, _ = trainer.run_steps(iter(dataset), tf.constant(steps))
    float(loss)  # waits for the last step
    return {"wall": time.perf_counter() - started[0], "cpu": time.process_time() - started[1]}


def summarize(found: dict[str, Any]) -> dict[str, Any]:
    """Returns medians and ratios of what `compare` measured; None for what PyTorch cannot run."""
    speeds: dict[str, float | None] = {}
    ratios: dict[str, dict[str, float | None]] = {}
    for measure in _MEASURES:
        median = {
            side: None if times is None else statistics.median(times[measure])
            for side, times in found["runs"].items()
        }
        theirs = {dtype: faster(median, dtype) for dtype in TOLERANCES}
        ratios[measure] = {
            dtype: ratio(seconds, median[f"ours {dtype}"]) for dtype, seconds in theirs.items()
        }
        ratios[measure]["our bfloat16, float32"] = ratio(theirs["float32"], median["ours bfloat16"])
        if measure == "wall":
            speeds = {
                side: None if seconds is None else found["tokens"] / seconds
                for side, seconds in median.items()
            }
    return {"runs_s": found["runs"], "tokens_per_second": speeds, "torch_over_ours": ratios}


@click.command()
@click.option("--torch-python", required=True, help="The Python that has PyTorch.")
@click.option("--corpus", default="imdb_reviews", show_default=True, help="As in `pretrain`.")
@click.option("--batches", default=16, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--units", multiple=True, type=int, default=UNITS, show_default=True)
def main(torch_python: str, corpus: str, batches: int, rounds: int, units: tuple[int, ...]) -> None:
    """Time each width; writes one record for each."""
    tf.config.experimental.enable_op_determinism()  # as in training
    texts, torch = prepare_corpus(corpus), Torch(torch_python)
    for width in units:
        found = compare(texts, torch, width, batches, rounds)
        summary = summarize(found)
        config = LanguageModelConfig()
        records.append(
            "language_model",
            ("tensorflow", "keras", "numpy"),
            {"torch": found["torch"]},
            corpus=texts.name,
            units=width,
            cores=cores(),
            batch_size=config.batch_size,
            negatives=config.negatives,
            classes=found["classes"],
            batches=batches,
            rounds=rounds,
            tokens=found["tokens"],
            **summary,
        )
        speed = summary["tokens_per_second"]["ours float32"]
        click.echo(
            f"{width}: ours {speed:,.0f} tokens/s, PyTorch takes {summary['torch_over_ours']}"
        )
    torch.close()


if __name__ == "__main__":
    main()
