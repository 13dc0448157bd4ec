"""A training step against PyTorch's: the same model, weights, batches of SST-5, loss and Adam.

    python benchmarks/train_step.py --torch-python PYTHON

PYTHON has `torch==2.13.0`, in an environment of its own. Before anything is timed, the first step's
losses must agree to 1e-4, and the second's, after an update, to 1e-3 (bfloat16: 2e-2); Adam's
first update magnifies what differs in tiny gradients. Then the sides take turns, each with a pass
over the same batches. PyTorch runs packed and padded, with the attention's formulas as they stand
("plain") and with its products folded as ours are, in float32 and under bfloat16 autocast; of
packed and padded, the one that is a fifth slower in two passes is timed no further. Padded, its
backward direction reads the padding first, which ours does not: there its loss is not held to ours.
Its Adam is the fused one. Tuned vectors: ours trains by lazy Adam, PyTorch by Adam, fused or its
default.
"""

from __future__ import annotations

import statistics
from functools import partial

import click
import records
from sides import FORMS, Data, Torch, faster, make_model, milliseconds_a_step, named_weights, tf

UNITS = (128, 256, 384, 512)
ONE = {"num_layers": 1, "bidirectional": False, "tuned": False, "fused": True}
SHAPES = {
    "one layer": ONE,
    "two layers": ONE | {"num_layers": 2},
    "both directions": ONE | {"bidirectional": True},
    "tuned vectors": ONE | {"tuned": True},
    "tuned vectors, default Adam": ONE | {"tuned": True, "fused": False},
}
TOLERANCES = {"float32": (1e-4, 1e-3), "bfloat16": (2e-2, 2e-2)}  # of the first two losses
_SLOWER = 1.2
_RECURRENCES = ("padded", "packed")


def compare(data: Data, torch: Torch, settings: dict, batches: int, rounds: int) -> dict:
    """Times a configuration on both sides; returns milliseconds a step, each pass's, and counts."""
    dataset = data.batches(batches)
    arrays = {}
    tokens = 0
    for number, (inputs, labels) in enumerate(dataset):
        arrays[f"ids_{number}"] = ids = inputs["token_ids"].numpy()
        arrays[f"labels_{number}"] = labels.numpy()
        tokens += int((ids != 0).sum())
    examples = sum(len(arrays[f"labels_{number}"]) for number in range(batches))
    models = {dtype: make_model(data, settings, dtype) for dtype in TOLERANCES}
    weights = named_weights(models["float32"], settings)
    version = torch.load(settings, {**weights, **arrays, "batches": batches})

    sides = {}
    for dtype, model in models.items():
        # `train_on_batch` starts its mean anew each time.
        losses = [model.train_on_batch(*batch)[0] for batch in dataset.take(2)]
        sides[f"ours {dtype}"] = partial(milliseconds_a_step, model, dataset, batches)
        for form in FORMS:
            theirs = torch.ask(do="train", form=f"{form} {dtype}")["losses"][:2]
            differences = [abs(a - b) for a, b in zip(losses, theirs, strict=True)]
            reads_padding = settings["bidirectional"] and form.startswith("padded")
            agree = all(a <= b for a, b in zip(differences, TOLERANCES[dtype], strict=True))
            if not agree and not reads_padding:
                raise SystemExit(f"{settings}, {form} {dtype}: losses {theirs}, ours {losses}.")
            sides[f"{form} {dtype}"] = partial(
                lambda name: 1000 * torch.ask(do="train", form=name)["seconds"] / batches,
                f"{form} {dtype}",
            )
        sides[f"ours {dtype}"]()  # once, untimed
    runs: dict[str, list[float]] = {}
    for number in range(rounds):
        for name in list(sides):
            runs.setdefault(name, []).append(sides[name]())
        if number == 1:
            for dtype in TOLERANCES:
                for attention in ("plain", "folded"):
                    pair = [f"{recurrence} {attention} {dtype}" for recurrence in _RECURRENCES]
                    best = min(min(runs[name]) for name in pair)
                    for name in pair:
                        if min(runs[name]) > _SLOWER * best:
                            del sides[name]
    return {"runs_ms": runs, "examples": examples, "tokens": tokens, "torch": version}


@click.command()
@click.option("--torch-python", required=True, help="The Python that has PyTorch.")
@click.option("--batches", default=16, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--units", multiple=True, type=int, default=UNITS, show_default=True)
@click.option("--shape", "shapes", multiple=True, default=tuple(SHAPES), show_default=True)
def main(
    torch_python: str, batches: int, rounds: int, units: tuple[int, ...], shapes: tuple[str, ...]
) -> None:
    """Time each shape at each width; a record each."""
    tf.config.experimental.enable_op_determinism()  # as in training
    data, torch = Data(), Torch(torch_python)
    for shape in shapes:
        for width in units:
            settings = {"units": width, **SHAPES[shape]}
            found = compare(data, torch, settings, batches, rounds)
            runs = found["runs_ms"]
            median = {name: statistics.median(times) for name, times in runs.items()}
            theirs = {
                rest: faster(median, rest)
                for rest in (
                    f"{way} {dtype}" for way in ("plain", "folded") for dtype in TOLERANCES
                )
            }
            ratios = {
                rest: milliseconds / median[f"ours {rest.split()[1]}"]
                for rest, milliseconds in theirs.items()
            }
            ratios["our bfloat16, plain float32"] = (
                theirs["plain float32"] / median["ours bfloat16"]
            )
            per_second = 1000 / (batches * median["ours float32"])
            records.append(
                "train_step",
                ("tensorflow", "keras", "numpy"),
                {"torch": found["torch"]},
                shape=shape,
                **settings,
                batch_size=64,
                batches=batches,
                rounds=rounds,
                median_ms=median,
                torch_ms=theirs,
                runs_ms=runs,
                torch_over_ours=ratios,
                examples_per_second=found["examples"] * per_second,
                tokens_per_second=found["tokens"] * per_second,
            )
            click.echo(
                f"{shape}, {width}: ours {median['ours float32']:.1f} ms, PyTorch takes "
                + ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
            )
    torch.close()


if __name__ == "__main__":
    main()
