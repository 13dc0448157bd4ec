"""Writes the tables of `benchmarks/README.md` and `docs/scale.md` from the latest records.

python benchmarks/readme.py
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import behaviour as checks
import learning_curves as curves
import numpy as np
import records

from sst_keras.experiments.records import RunRecord, read_records

README = Path(__file__).with_name("README.md")
SCALE = Path(__file__).parents[1] / "docs/scale.md"
_DTYPES = {"lstm-attention-384": "float32", "lstm-attention-384-bfloat16": "bfloat16"}  # by row


def latest(benchmark: str, *keys: str, **only: Any) -> list[dict[str, Any]]:
    """Returns the last record for each combination of `keys`, in order of first appearance."""
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


def number(value: float | None, spec: str = ".1f") -> str:
    """Returns a formatted number; a dash for what was not measured."""
    return "–" if value is None else format(value, spec)


def bold(value: float | None) -> str:
    """Returns a ratio in bold; a dash for what was not measured."""
    return "–" if value is None else f"**{value:.2f}**"


def machines(found: Iterable[Mapping[str, Any]]) -> str:
    """Returns a line with the kinds of CPU that records were measured on."""
    kinds: dict[str, None] = {}
    for record in found:
        machine = record["machine"]
        sets = ", ".join(machine.get("instruction_sets", ()))
        name = machine.get("cpu", "an unrecorded CPU")
        kinds[f"{name}{f' ({sets})' if sets else ''}, {machine['cores']} cores"] = None
    return f"Measured on {'; '.join(kinds)}."


def train_step() -> str:
    """Returns the table of training steps."""
    found = latest("train_step", "shape", "units")
    rows, ratios = [], {"plain": [], "folded": []}
    for record in found:
        median, theirs = record["median_ms"], record["torch_ms"]
        ratio = record["torch_over_ours"]
        if not record["tuned"]:
            for attention, values in ratios.items():
                values.append(ratio[f"{attention} float32"])
        rows.append([record["shape"], record["units"]])
        for dtype in ("float32", "bfloat16"):
            rows[-1] += [
                number(median[f"ours {dtype}"]),
                number(theirs[f"plain {dtype}"]),
                bold(ratio[f"plain {dtype}"]),
                number(ratio[f"folded {dtype}"], ".2f"),
            ]
        rows[-1] += [
            number(ratio["our bfloat16, plain float32"], ".2f"),
            number(record["tokens_per_second"] / 1000, ".0f"),
            record["rounds"],
        ]
    heads = ["model", "units", "ours, ms", "PyTorch, ms", "ratio", "folded", "ours bf16, ms"]
    heads += ["PyTorch bf16, ms", "ratio", "folded", "our bf16, PyTorch float32"]
    means = {
        name: math.exp(sum(map(math.log, values)) / len(values)) for name, values in ratios.items()
    }
    return table([*heads, "1,000 tokens/s", "passes"], rows) + (
        f"\n\nGeometric mean of the {len(ratios['plain'])} rows with frozen vectors, float32: "
        f"**{means['plain']:.2f}**; with PyTorch's attention folded as well: "
        f"{means['folded']:.2f}.\n\n{machines(found)}"
    )


def language_model() -> str:
    """Returns the table of a language model's training."""
    if not records.path_of("language_model").is_file():
        return "Not measured yet."
    found = latest("language_model", "cores", "units")
    rows = []
    for record in found:
        speeds, ratios = record["tokens_per_second"], record["torch_over_ours"]
        rows.append([record["units"], record["cores"]])
        for dtype in ("float32", "bfloat16"):
            forms = [speeds[f"{form} {dtype}"] for form in ("packed", "padded")]
            theirs = max((speed for speed in forms if speed is not None), default=None)
            rows[-1] += [
                number(speeds[f"ours {dtype}"], ",.0f"),
                number(theirs, ",.0f"),
                bold(ratios["wall"][dtype]),
                number(ratios["cpu"][dtype], ".2f"),
            ]
        rows[-1] += [number(ratios["wall"]["our bfloat16, float32"], ".2f"), record["rounds"]]
    heads = ["units", "cores", "ours, tokens/s", "PyTorch, tokens/s", "ratio", "CPU time"]
    heads += ["ours bf16, tokens/s", "PyTorch bf16, tokens/s", "ratio", "CPU time"]
    heads += ["our bf16, PyTorch float32", "passes"]
    return table(heads, rows) + f"\n\n{machines(found)}"


def bfloat16() -> str:
    """Returns the table of accuracies in bfloat16 and in float32."""
    runs: dict[str, list[RunRecord]] = {row: [] for row in _DTYPES}
    for key, record in read_records(records.RESULTS / "main").items():
        if key.row in runs and not key.variant and not record.error:
            runs[key.row].append(record)
    if not all(runs.values()):
        return "Not measured yet."
    rows = []
    for row, found in runs.items():
        cells = []
        for scores in ([run.best.dev for run in found], [run.best.test for run in found]):
            percent = [100 * score for score in scores]
            spread = f"{statistics.stdev(percent):.1f}" if len(percent) > 1 else "–"
            cells.append(f"{statistics.mean(percent):.1f} ± {spread}")
        rows.append([_DTYPES[row], *cells, len(found), ", ".join(found[0].vectors)])
    return table(["products in", "dev accuracy", "test accuracy", "n", "vectors"], rows)


def inference() -> str:
    """Returns the table of predictions."""
    found = latest("inference", "units", "batch_size")
    rows = [
        [
            record["units"],
            record["batch_size"],
            number(record["p50_ms"]["ours"], ".2f"),
            number(record["p99_ms"]["ours"], ".2f"),
            number(record["torch_p50_ms"]["plain"], ".2f"),
            bold(record["torch_over_ours"]["plain"]),
            number(record["torch_over_ours"]["folded"], ".2f"),
            number(record["sentences_per_second"], ",.0f"),
        ]
        for record in found
    ]
    heads = ["units", "sentences", "ours p50, ms", "p99, ms", "PyTorch p50, ms", "ratio", "folded"]
    return table([*heads, "sentences/s"], rows) + f"\n\n{machines(found)}"


def serving() -> str:
    """Returns the table of the server under load."""
    found = latest("serving")
    rows = []
    for name in ("one", "many", "overload"):
        part = found[-1][name]
        refused = sum(count for status, count in part["statuses"].items() if status != "200")
        rows.append([
            {"one": "one client", "many": "many", "overload": "overload"}[name],
            part["clients"], f"{part['requests_per_second']:,.0f}", number(part["p50_ms"]),
            number(part["p99_ms"]), f"{part['statuses']['200']:,}", f"{refused:,}", part["wrong"],
        ])  # fmt: skip
    heads = ["load", "clients", "answers/s", "p50, ms", "p99, ms", "answered", "refused", "wrong"]
    memory, overload = found[-1]["memory"], found[-1]["overload"]
    first, last = (memory[name]["resident"] / 2**20 for name in ("first_bytes", "last_bytes"))
    return (
        table(heads, rows)
        + f"\n\nMemory after {memory['first']:,} requests: {first:,.0f} MiB; after "
        f"{memory['requests']:,}: {last:,.0f} MiB. After the overload, a request was answered "
        f"within {1000 * overload['recovery_seconds']:.0f} ms.\n\n{machines(found[-1:])}"
    )


def limit() -> str:
    """Returns the table of steps over the machine's limit."""
    found = latest("limit", "units", "dtype")
    rows = [
        [
            record["units"],
            record["dtype"],
            number(record["gflop"], ".2f"),
            number(record["gflop_per_second"], ".0f"),
            *(number(record[f"{part}_ms"]) for part in ("step", "limit", "products", "fixed")),
            bold(record["step_over_limit"]),
        ]
        for record in found
    ]
    heads = ["units", "dtype", "GFLOP", "GFLOP/s", "step, ms", "limit, ms", "products, ms"]
    return table([*heads, "fixed, ms", "ratio"], rows) + (
        f"\n\nA batch has {found[-1]['tokens_per_batch']:,.0f} tokens on average, "
        f"{found[-1]['padded_tokens_per_batch']:,.0f} with padding.\n\n{machines(found)}"
    )


def epoch() -> str:
    """Returns the table of complete commands."""
    found = latest("epoch", "name", "vectors")
    parts = ("wall", "to_first_steps", "last_epoch", "last_epoch_end_to_exit")
    rows = [
        [f"`{' '.join(record['command'])}`", record["vectors"]]
        + [number(record["median_seconds"][part]) for part in parts]
        for record in found
    ]
    heads = ["command", "vectors", "start to end, s", "to the end of step 8", "last epoch"]
    return table([*heads, "last epoch's end to exit"], rows) + f"\n\n{machines(found)}"


def scaling() -> str:
    """Returns the tables of growth."""
    found = latest("scaling", "factor", "epochs", what="examples")
    base = found[0]["epoch_seconds"] / found[0]["factor"]
    rows = [
        [
            f"{record['examples']:,}",
            record["epochs"],
            number(record["epoch_seconds"], ".2f"),
            number(record["epoch_seconds"] / record["factor"] / base, ".2f"),
            number(record["command_seconds"]),
            number(record["peak_memory_gb"], ".2f"),
        ]
        for record in found
    ]
    heads = ["examples", "epochs", "epoch, s", "per example, relative", "command, s"]
    parts = [table([*heads, "peak memory, GB"], rows)]
    for name in ("length", "units", "batch"):
        steps = latest("scaling", name, what=name)
        heads = [name, *(record[name] for record in steps)]
        parts.append(table(heads, [["ms", *(number(record["step_ms"]) for record in steps)]]))
        found += steps
    starts = latest("scaling", "command", what="start-up")
    slowest = max(starts, key=lambda record: record["seconds"])
    parts.append(
        f"Start-up: `--help` of the program and of each command, `pipelines` and `runs` take "
        f"{min(record['seconds'] for record in starts):.2f} to {slowest['seconds']:.2f} s "
        f"(`{slowest['command']}`)."
    )
    return "\n\n".join([*parts, machines(found + starts)])


def vectors() -> str:
    """Returns the table of vector files."""
    found = latest("vectors", "format")
    rows = []
    for record in found:
        seconds, memory = record["seconds"], record["peak_memory_gb"]
        cells = [f"{seconds[side]:.1f} s, {memory[side]:.2f} GB" for side in ("ours", "gensim")]
        ratio = f"{record['gensim_over_ours_seconds']:.1f} times as long"
        rows.append([record["format"], f"{record['file_gb']:.1f} GB", *cells, ratio])
    heads = ["format", "file", "ours", "gensim's full load", "gensim takes"]
    return table(heads, rows) + f"\n\n{machines(found)}"


def tables() -> str:
    """Returns the table of a user's table."""
    if not records.path_of("tables").is_file():
        return "Not measured yet."
    record = latest("tables", "rows")[-1]
    rows = [
        [
            side,
            number(seconds),
            number(record["rows_per_second"][side], ",.0f"),
            number(record["peak_memory_gb"][side], ".2f"),
            number(record["memory_above_start_gb"][side], ".2f"),
        ]
        for side, seconds in record["seconds"].items()
    ]
    heads = ["load", "seconds", "rows/s", "peak memory, GB", "above the start, GB"]
    return table(heads, rows) + (
        f"\n\n{record['rows']:,} rows, {record['file_gb']:.2f} GB: {record['texts']}. "
        f"{machines([record])}"
    )


def learning_curves() -> str:
    """Returns the table of accuracies by the number of texts."""
    if not records.path_of(curves.NAME).is_file():
        return "Not measured yet."
    scores = curves.scores()
    rows = [
        [name, f"{texts:,}", *(mean_and_deviation(sides[start]) for start in curves.STARTS)]
        + [f"{100 * (np.mean(sides['earlier run']) - np.mean(sides['scratch'])):+.1f}"]
        + [len(sides["scratch"])]
        for (name, texts), sides in scores.items()
    ]
    heads = ["set", "texts", *(f"from {start}, %" for start in curves.STARTS), "difference", "n"]
    return table(heads, rows) + f"\n\n{machines(records.read(curves.NAME))}"


def behaviour() -> str:
    """Returns the table of how often models fail."""
    if not records.path_of(checks.NAME).is_file():
        return "Not measured yet."
    found = latest(checks.NAME, "model")
    rows = [
        [what, "", *(f"{100 * record['scores'][key]:.1f}" for record in found)]
        for key, what in checks.SCORES.items()
    ]
    rows += [
        [what, cases]
        + [f"{record['failures'][what][0] / record['failures'][what][1]:.0%}" for record in found]
        for what, (_, cases) in found[0]["failures"].items()
    ]
    return table(["", "cases", *(f"`{record['model']}`" for record in found)], rows)


def mean_and_deviation(values: list[float]) -> str:
    """Returns the mean and the standard deviation of fractions, in percent."""
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f}"


def scale() -> str:
    """Returns the table of what many texts cost, from the rates of one core and of all."""
    from sst_keras.serving.parts import ROWS

    found = latest("cluster", what="predict")[-1]
    rate, alone = found["rate"]["per_second"], found["rate_of_one_core"]["per_second"]
    per_core, cores = rate / found["cores"], found["cores"]
    sizes, of_part = found["bytes_per_text"], ROWS / per_core

    def seconds(texts: float, cores: int) -> float:
        return math.ceil(math.ceil(texts / ROWS) / cores) * of_part

    rows = [
        [
            name,
            f"{texts / per_core / 3600:,.1f}",
            *(duration(seconds(texts, number)) for number in (1, 64, 1024)),
            amount(texts * sizes["in"]),
            amount(texts * sizes["out"]),
        ]
        for name, texts in (("1 million", 1e6), ("100 million", 1e8), ("10 billion", 1e10))
    ]
    heads = ["texts", "core-hours", "1 core", "64 cores", "1,024 cores", "read", "written"]
    read, written = (1024 * per_core * sizes[name] for name in ("in", "out"))
    return (
        f"Measured with {found['texts']:,} texts: {rate:,} a second on {cores} cores, "
        f"which is {100 * rate / cores / alone:.0f} % of {cores} times the {alone:,} on one core. "
        f"{actors_memory(found)} "
        f"One core reads {found['read_per_second']:,} rows of CSV a second, "
        f"{found['read_per_second'] / per_core:.0f} times as many as it predicts.{start_up(found)}"
        f"\n\n{table(heads, rows)}\n\n"
        f"One core predicts a part of {ROWS:,} rows in {of_part:.0f} seconds. 1 million texts are "
        f"{math.ceil(1e6 / ROWS)} parts, so no more cores than that have something to do; with "
        f"smaller `--part-rows`, there are more parts. 1,024 cores together read "
        f"{amount(read)} and write {amount(written)} a second.\n\n{machines([found])}"
    )


def actors_memory(found: Mapping[str, Any]) -> str:
    """Returns sentences on what each actor took for itself over its time."""
    if "bytes_by_worker" not in found:  # an older record
        largest = max(found["worker_bytes"]) / 1e9
        return (
            f"The largest process of an actor had at most {largest:.2f} GB of its own; how much "
            f"each had over time was not recorded."
        )
    spans = []
    for sizes in found["bytes_by_worker"]:
        if (quarter := len(sizes) // 4) >= 3:  # else it is still starting
            parts = (sizes[quarter * number :][:quarter] for number in range(4))
            spans.append(", ".join(f"{statistics.median(part) / 1e9:.2f}" for part in parts))
    largest = max(map(max, found["bytes_by_worker"])) / 1e9
    return (
        f"A process of an actor had at most {largest:.2f} GB of its own. The medians of the four "
        f"quarters of each that lived for a minute were, in GB: {'; '.join(spans)}."
    )


def start_up(found: Mapping[str, Any]) -> str:
    """Returns sentences on the local engine and on the first part; none for an older record."""
    local = found.get("rate_of_local_engine")
    if local is None:
        return ""
    first = found["rate"]["to_first_part"], local["to_first_part"]
    return (
        f" The local engine predicts {local['per_second']:,} a second on the same cores. The first "
        f"part of {found['part_rows']:,} rows was there {first[0]:.0f} seconds after the start of "
        f"the command on the cluster, and after {first[1]:.0f} seconds by the local engine."
    )


def sweeps() -> str:
    """Returns what a small sweep took on a cluster and by the local engine."""
    found = latest("cluster", what="sweep")[-1]
    seconds, runs, cases = found["seconds"], found["runs"], found["cases"]
    more = (seconds["undisturbed"] - seconds["local"]) / runs
    text = (
        f"On {found['nodes']} nodes that shared {found['machine']['cores']} cores, {runs} small "
        f"runs took {seconds['undisturbed']:.0f} seconds; the local engine took "
        f"{seconds['local']:.0f} on the same cores. That is {more:.1f} seconds more for each run."
    )
    if starts := found.get("seconds_to_first_run"):
        text += (
            f" The first run began after {starts['undisturbed']:.0f} seconds; by the local engine, "
            f"after {starts['local']:.0f}."
        )
    equal = min(case["equal"] for case in cases.values())
    return text + f" {equal} of {runs} records were equal, but for their times."


def duration(seconds: float) -> str:
    """Returns a time as people say it."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} seconds" if seconds >= 1 else "under 1 second"


def amount(size: float) -> str:
    """Returns a number of bytes as people say it."""
    for unit, bytes_of in (("TB", 1e12), ("GB", 1e9)):
        if size >= bytes_of:
            return f"{size / bytes_of:,.1f} {unit}"
    return f"{size / 1e6:,.0f} MB"


# The tables of each page, in any order.
PAGES: dict[Path, tuple[Callable[[], str], ...]] = {
    README: (
        train_step, language_model, bfloat16, inference, serving, limit, epoch, scaling, vectors,
        tables, learning_curves, behaviour,
    ),
    SCALE: (scale, sweeps),
}  # fmt: skip


def rendered(page: Path) -> str:
    """Returns a page's text with the records' tables in it."""
    text = page.read_text("utf-8")
    for function in PAGES[page]:
        name = function.__name__
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        if not text.count(begin) == text.count(end) == 1:
            raise SystemExit(f"{page}: expected one pair of marks for {name}.")
        head, rest = text.split(begin)
        _, tail = rest.split(end)
        text = head + begin + function() + "\n" + end + tail
    return text


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(rendered(each), "utf-8")
