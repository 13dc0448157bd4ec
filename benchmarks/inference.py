"""From strings to probabilities, through the exported SavedModel, against PyTorch.

    python benchmarks/inference.py --torch-python PYTHON

The sentences are SST-5's test set in its own order, so batches mix short and long ones; single
sentences have 24 tokens. Ours takes raw strings and tokenizes them in its graph. PyTorch gets the
tokens and looks up their ids in a dict. Probabilities must agree to 1e-4. All of it is float32.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable

import click
import numpy as np
import records
from sides import FORMS, Data, Torch, faster, make_model, named_weights, tf

from sst_keras.classifier import Classifier

BATCHES = {1: 200, 64: 8, 512: 3}  # batch size → batches per pass
_TOKENS = 24


def classifier(data: Data, settings: dict) -> tuple[Callable, dict[str, np.ndarray]]:
    """Returns an exported model's function of string[batch], and the model's weights."""
    model = make_model(data, settings)
    # As confident as a trained model, so that a wrong LSTM state would show.
    logits = model.get_layer("logits")
    logits.set_weights([20 * weight for weight in logits.get_weights()])
    module = Classifier(model, data.encoder, data.corpus.class_names)
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.signatures())
        loaded = tf.saved_model.load(folder)
    return loaded.signatures["serving_default"], named_weights(model, settings)


def ours(classify: Callable, batches: list[tf.Tensor]) -> tuple[list[float], list[np.ndarray]]:
    """Classifies batches of strings; returns the seconds and the probabilities per batch."""
    seconds, probabilities = [], []
    for batch in batches:
        started = time.perf_counter()
        probabilities.append(classify(batch)["probabilities"].numpy())
        seconds.append(time.perf_counter() - started)
    return seconds, probabilities


@click.command()
@click.option("--torch-python", required=True, help="The Python that has PyTorch.")
@click.option("--units", multiple=True, type=int, default=(128, 384), show_default=True)
@click.option("--rounds", default=7, show_default=True)
def main(torch_python: str, units: tuple[int, ...], rounds: int) -> None:
    """Time each batch size at each width; writes one record for each."""
    data, torch = Data(), Torch(torch_python)
    texts = [[token.decode() for token in row] for row in data.corpus.test.tokens.numpy()]
    for width in units:
        settings = {"units": width, "num_layers": 1, "bidirectional": False, "tuned": False}
        settings["fused"] = True
        classify, weights = classifier(data, settings)
        version = torch.load(settings, weights | {"words": np.asarray(data.vocabulary.tokens)})
        for size, count in BATCHES.items():
            rows = [row for row in texts if size > 1 or len(row) == _TOKENS]
            batches = [
                [rows[(number * size + place) % len(rows)] for place in range(size)]
                for number in range(count)
            ]
            strings = [tf.constant([" ".join(row) for row in batch]) for batch in batches]
            tokens = [[[token.lower() for token in row] for row in batch] for batch in batches]

            expected = np.concatenate(ours(classify, strings)[1])
            for form in FORMS:
                answer = torch.ask(do="infer", form=f"{form} float32", batches=tokens)[
                    "probabilities"
                ]
                if np.abs(answer - expected).max() > 1e-4:
                    raise SystemExit(
                        f"{width}, {size}, {form}: the probabilities differ from ours."
                    )
            seconds: dict[str, list[float]] = {"ours": [], **{form: [] for form in FORMS}}
            for _ in range(rounds):
                seconds["ours"] += ours(classify, strings)[0]
                for form in FORMS:
                    seconds[form] += torch.ask(do="infer", form=f"{form} float32", batches=tokens)[
                        "seconds"
                    ]
            p50 = {name: 1000 * statistics.median(times) for name, times in seconds.items()}
            p99 = {name: 1000 * float(np.percentile(times, 99)) for name, times in seconds.items()}
            theirs = {way: faster(p50, way) for way in ("plain", "folded")}
            ratios = {way: milliseconds / p50["ours"] for way, milliseconds in theirs.items()}
            records.append(
                "inference",
                ("tensorflow", "keras", "numpy"),
                {"torch": version},
                units=width,
                batch_size=size,
                batches=count * rounds,
                p50_ms=p50,
                p99_ms=p99,
                torch_p50_ms=theirs,
                sentences_per_second=1000 * size / p50["ours"],
                torch_over_ours=ratios,
            )
            click.echo(
                f"{width} units, batches of {size}: ours p50 {p50['ours']:.2f} ms, p99 "
                f"{p99['ours']:.2f} ms; PyTorch takes plain {ratios['plain']:.2f}, folded "
                f"{ratios['folded']:.2f}"
            )
    torch.close()


if __name__ == "__main__":
    main()
