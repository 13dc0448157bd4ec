"""A training step against PyTorch's: the same model, weights, batches of SST-5, loss and Adam.

    python benchmarks/train_step.py --torch-python PYTHON

PYTHON has `torch==2.13.0`, in an environment of its own. Before anything is timed, the losses of
the first step must agree to 1e-4 and those of the second, after an update, to 1e-3 (bfloat16:
2e-2); Adam's first update magnifies differences in tiny gradients. Then the sides take turns, each
with one pass over the same batches.

PyTorch runs packed and padded, with attention by its formulas ("plain") and with its products
folded as ours are, in float32 and under bfloat16 autocast. After two passes, whichever of packed
and padded is 20 % slower is dropped. Padded, its backward direction reads the padding first, unlike
ours, so its loss is not compared there. Its Adam is the fused one. Tuned vectors train by lazy Adam
on our side, and by Adam, fused or PyTorch's default, on PyTorch's side.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import records
from sides import (
    FORMS,
    Data,
    Torch,
    faster,
    make_model,
    milliseconds_a_step,
    named_weights,
    ratio,
    tf,
    training,
)

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
Sides = dict[str, Callable[[], float]]  # name → one pass, in milliseconds per step


def compare(data: Data, torch: Torch, settings: dict, batches: int, rounds: int) -> dict[str, Any]:
    """Times one configuration on both sides.

    Returns:
        `runs_ms` (side → the milliseconds per step of each pass, or None if PyTorch cannot run
        it), `examples`, `tokens`, and `torch`, PyTorch's version.
    """
    dataset = data.batches(batches)
    arrays: dict[str, Any] = {"batches": batches}
    tokens = examples = 0
    for number, (inputs, labels) in enumerate(dataset):
        arrays[f"ids_{number}"] = ids = inputs["token_ids"].numpy()
        arrays[f"labels_{number}"] = labels.numpy()
        tokens += int((ids != 0).sum())
        examples += len(ids)
    models = {dtype: make_model(data, settings, dtype) for dtype in TOLERANCES}
    version = torch.load(settings, named_weights(models["float32"], settings) | arrays)

    sides: Sides = {}
    runs: dict[str, list[float] | None] = {}
    for dtype, model in models.items():
        # `train_on_batch` starts its mean anew each time.
        losses = [model.train_on_batch(*batch)[0] for batch in dataset.take(2)]
        sides[f"ours {dtype}"] = partial(milliseconds_a_step, model, dataset, batches)
        for form in (f"{form} {dtype}" for form in FORMS):
            answer = torch.ask(do="train", form=form)
            if "refused" in answer:
                runs[form] = None
                continue
            _check_losses(settings, form, losses, answer["losses"][:2])
            sides[form] = partial(_torch_milliseconds, torch, form, batches)
        sides[f"ours {dtype}"]()  # once, untimed
    runs |= {name: [] for name in sides}
    for number in range(rounds):
        for name, run in sides.items():
            runs[name].append(run())
        if number == 1:
            _drop_slower(sides, runs)
    return {"runs_ms": runs, "examples": examples, "tokens": tokens, "torch": version}


def _check_losses(settings: dict, form: str, ours: list[float], theirs: list[float]) -> None:
    """Exits unless the first two losses agree."""
    tolerances = TOLERANCES[form.split()[-1]]
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    agree = all(a <= b for a, b in zip(differences, tolerances, strict=True))
    reads_padding = settings["bidirectional"] and form.startswith("padded")
    if not agree and not reads_padding:
        raise SystemExit(f"{settings}, {form}: losses {theirs}, ours {ours}.")


def _torch_milliseconds(torch: Torch, form: str, batches: int) -> float:
    return 1000 * torch.ask(do="train", form=form)["seconds"] / batches


def _drop_slower(sides: Sides, runs: dict[str, list[float] | None]) -> None:
    """Removes from each pair of packed and padded the side that is much slower."""
    for rest in (f"{way} {dtype}" for way in ("plain", "folded") for dtype in TOLERANCES):
        names = [f"{recurrence} {rest}" for recurrence in _RECURRENCES]
        times = {name: min(runs[name]) for name in names if name in sides}
        for name, time in times.items():
            if time > _SLOWER * min(times.values()):
                del sides[name]


def summarize(found: dict[str, Any], batches: int) -> dict[str, Any]:
    """Returns medians and ratios of what `compare` measured; None for what PyTorch cannot run."""
    median = {
        name: None if times is None else statistics.median(times)
        for name, times in found["runs_ms"].items()
    }
    rests = [f"{way} {dtype}" for way in ("plain", "folded") for dtype in TOLERANCES]
    theirs = {rest: faster(median, rest) for rest in rests}
    ratios = {rest: ratio(theirs[rest], median[f"ours {rest.split()[1]}"]) for rest in rests}
    ratios["our bfloat16, plain float32"] = ratio(theirs["plain float32"], median["ours bfloat16"])
    per_second = 1000 / (batches * median["ours float32"])
    return {
        "median_ms": median,
        "torch_ms": theirs,
        "runs_ms": found["runs_ms"],
        "torch_over_ours": ratios,
        "examples_per_second": found["examples"] * per_second,
        "tokens_per_second": found["tokens"] * per_second,
    }


@click.command()
@click.option("--torch-python", required=True, help="The Python that has PyTorch.")
@click.option("--batches", default=16, show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option("--units", multiple=True, type=int, default=UNITS, show_default=True)
@click.option(
    "--shape", "shapes", multiple=True, type=click.Choice(list(SHAPES)), default=tuple(SHAPES)
)
def main(
    torch_python: str, batches: int, rounds: int, units: tuple[int, ...], shapes: tuple[str, ...]
) -> None:
    """Time each shape at each width; writes one record for each."""
    if batches % training.STEPS_PER_EXECUTION:
        raise click.UsageError(f"--batches must be a multiple of {training.STEPS_PER_EXECUTION}.")
    tf.config.experimental.enable_op_determinism()  # as in training
    data, torch = Data(), Torch(torch_python)
    for shape in shapes:
        for width in units:
            settings = {"units": width, **SHAPES[shape]}
            found = compare(data, torch, settings, batches, rounds)
            summary = summarize(found, batches)
            records.append(
                "train_step",
                ("tensorflow", "keras", "numpy"),
                {"torch": found["torch"]},
                shape=shape,
                **settings,
                batch_size=64,
                batches=batches,
                rounds=rounds,
                **summary,
            )
            ratios = (
                f"{name} {'–' if value is None else f'{value:.2f}'}"
                for name, value in summary["torch_over_ours"].items()
            )
            click.echo(
                f"{shape}, {width}: ours {summary['median_ms']['ours float32']:.1f} ms, PyTorch "
                f"takes {', '.join(ratios)}"
            )
    torch.close()


if __name__ == "__main__":
    main()
