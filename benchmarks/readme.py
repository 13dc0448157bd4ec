"""Writes the tables of `benchmarks/README.md` from the records, the last one of each kind.

python benchmarks/readme.py
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import records

README = Path(__file__).with_name("README.md")


def latest(benchmark: str, *keys: str, **only: Any) -> list[dict[str, Any]]:
    """Returns the last record of each combination of some fields, in the order of the first."""
    found: dict[tuple, dict[str, Any]] = {}
    for record in records.read(benchmark):
        if all(record[name] == value for name, value in only.items()):
            found[tuple(record[key] for key in keys)] = record
    return list(found.values())


def table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Returns a Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def train_step() -> str:
    """Returns the tables of training steps."""
    found = latest("train_step", "shape", "units")
    rows, ratios = [], {"plain": [], "folded": []}
    for record in found:
        median, theirs = record["median_ms"], record["torch_ms"]
        ratio = record["torch_over_ours"]
        if not record["tuned"]:
            for attention, values in ratios.items():
                values.append(ratio[f"{attention} float32"])
        rows.append(
            [
                record["shape"],
                record["units"],
                f"{median['ours float32']:.1f}",
                f"{theirs['plain float32']:.1f}",
                f"**{ratio['plain float32']:.2f}**",
                f"{ratio['folded float32']:.2f}",
                f"{median['ours bfloat16']:.1f}",
                f"{theirs['plain bfloat16']:.1f}",
                f"**{ratio['plain bfloat16']:.2f}**",
                f"{ratio['folded bfloat16']:.2f}",
                f"{ratio['our bfloat16, plain float32']:.2f}",
                f"{record['tokens_per_second'] / 1000:.0f}",
                record["rounds"],
            ]
        )
    heads = ["model", "units", "ours, ms", "PyTorch, ms", "ratio", "folded", "ours bf16, ms"]
    heads += ["PyTorch bf16, ms", "ratio", "folded", "our bf16, PyTorch float32"]
    means = {
        name: math.exp(sum(map(math.log, values)) / len(values)) for name, values in ratios.items()
    }
    return table([*heads, "1,000 tokens/s", "passes"], rows) + (
        f"\n\nGeometric mean over the {len(ratios['plain'])} rows with frozen vectors, float32: "
        f"**{means['plain']:.2f}**; with PyTorch's attention folded too: {means['folded']:.2f}."
    )


def bfloat16() -> str:
    """Returns the table of accuracies in bfloat16 beside those in float32."""
    lines = (records.RESULTS / "accuracy.jsonl").read_text("utf-8").splitlines()
    runs: dict[str, list[dict]] = {}
    for run in map(json.loads, lines):
        settings = run["settings"]
        if "model.units=384" in settings and run["pipeline"] == "lstm-attention":
            dtype = "bfloat16" if "model.matmul_dtype=bfloat16" in settings else "float32"
            runs.setdefault(dtype, []).append(run)
    rows = []
    for dtype, found in runs.items():
        cells = []
        for split in ("dev", "test"):
            figures = [100 * run[split]["accuracy"] for run in found]
            cells.append(f"{statistics.mean(figures):.1f} ± {statistics.stdev(figures):.1f}")
        rows.append([dtype, *cells, len(found), ", ".join(found[0]["vectors"])])
    return table(["products in", "dev accuracy", "test accuracy", "n", "vectors"], rows)


def inference() -> str:
    """Returns the table of predictions."""
    rows = []
    for record in latest("inference", "units", "batch_size"):
        rows.append(
            [
                record["units"],
                record["batch_size"],
                f"{record['p50_ms']['ours']:.2f}",
                f"{record['p99_ms']['ours']:.2f}",
                f"{record['torch_p50_ms']['plain']:.2f}",
                f"**{record['torch_over_ours']['plain']:.2f}**",
                f"{record['torch_over_ours']['folded']:.2f}",
                f"{record['sentences_per_second']:,.0f}",
            ]
        )
    heads = ["units", "sentences", "ours p50, ms", "p99, ms", "PyTorch p50, ms", "ratio", "folded"]
    return table([*heads, "sentences/s"], rows)


def limit() -> str:
    """Returns the table of steps over the limit."""
    found = latest("limit", "units", "dtype")
    rows = [
        [
            record["units"],
            record["dtype"],
            f"{record['gflop']:.2f}",
            f"{record['gflop_per_second']:.0f}",
            f"{record['step_ms']:.1f}",
            f"{record['limit_ms']:.1f}",
            f"{record['products_ms']:.1f}",
            f"{record['fixed_ms']:.1f}",
            f"**{record['step_over_limit']:.2f}**",
        ]
        for record in found
    ]
    heads = ["units", "dtype", "GFLOP", "GFLOP/s", "step, ms", "limit, ms", "products alone, ms"]
    return table([*heads, "once a step, ms", "ratio"], rows) + (
        f"\n\nA batch has {found[-1]['tokens_per_batch']:,.0f} tokens on average, and "
        f"{found[-1]['padded_tokens_per_batch']:,.0f} with its padding."
    )


def epoch() -> str:
    """Returns the table of whole commands."""
    rows = []
    for record in latest("epoch", "name", "vectors"):
        median = record["median_seconds"]
        parts = ("wall", "to_first_steps", "last_epoch", "last_epoch_end_to_exit")
        rows.append([f"`{' '.join(record['command'])}`", record["vectors"]])
        rows[-1] += [f"{median[part]:.1f}" for part in parts]
    heads = ["command", "vectors", "start to end, s", "to the end of step 8", "an epoch"]
    return table([*heads, "last epoch's end to exit"], rows)


def scaling() -> str:
    """Returns the tables of growth."""
    found = latest("scaling", "factor", "epochs", what="examples")
    base = found[0]["epoch_seconds"] / found[0]["factor"]
    rows = [
        [
            f"{record['examples']:,}",
            record["epochs"],
            f"{record['epoch_seconds']:.2f}",
            f"{record['epoch_seconds'] / record['factor'] / base:.2f}",
            f"{record['command_seconds']:.1f}",
            f"{record['peak_memory_gb']:.2f}",
        ]
        for record in found
    ]
    heads = [
        "examples",
        "epochs",
        "an epoch, s",
        "a row, relative",
        "command, s",
        "peak memory, GB",
    ]
    parts = [table(heads, rows)]
    for name in ("length", "units", "batch"):
        records_ = latest("scaling", name, what=name)
        cells = [
            [f"{name}", *(record[name] for record in records_)],
            ["ms", *(f"{record['step_ms']:.1f}" for record in records_)],
        ]
        parts.append(table(cells[0], cells[1:]))
    starts = latest("scaling", "command", what="start-up")
    slowest = max(starts, key=lambda record: record["seconds"])
    parts.append(
        f"Start-up: `--help` of the program and of each command, `pipelines` and `runs` take "
        f"{min(record['seconds'] for record in starts):.2f} to {slowest['seconds']:.2f} s "
        f"(`{slowest['command']}`)."
    )
    return "\n\n".join(parts)


def vectors() -> str:
    """Returns the table of vector files."""
    rows = []
    for record in latest("vectors", "format"):
        seconds, memory = record["seconds"], record["peak_memory_gb"]
        cells = [f"{seconds[side]:.1f} s, {memory[side]:.2f} GB" for side in ("ours", "gensim")]
        ratio = f"{record['gensim_over_ours_seconds']:.1f} times as long"
        rows.append([record["format"], f"{record['file_gb']:.1f} GB", *cells, ratio])
    return table(["format", "file", "ours", "gensim's full load", "gensim takes"], rows)


TABLES: dict[str, Callable[[], str]] = {
    function.__name__: function
    for function in (train_step, bfloat16, inference, limit, epoch, scaling, vectors)
}


def rendered(text: str) -> str:
    """Returns README's text with the records' tables in it."""
    for name, function in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if not text.count(begin) == text.count(end) == 1:
            raise SystemExit(f"{README}: expected one pair of marks for {name}.")
        head, rest = text.split(begin)
        _, tail = rest.split(end)
        text = head + begin + function() + "\n" + end + tail
    return text


if __name__ == "__main__":
    README.write_text(rendered(README.read_text("utf-8")), "utf-8")
