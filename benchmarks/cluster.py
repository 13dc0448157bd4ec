"""A Ray cluster of three nodes, which are processes of this machine: what is lost, and how fast.

    python benchmarks/cluster.py sweep
    python benchmarks/cluster.py predict --texts 2000000

`sweep` trains 12 small runs by the local engine and on the cluster, then with a node that is killed
while it trains, then with a command that is killed and started again. It compares the records.

`predict` classifies texts in parts on one core, by the local engine, then on all cores, with a
command that is killed twice and started again. It checks that each text is in the parts once.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import records

NAME = "cluster"
PACKAGES = ("ray", "tensorflow", "keras")
RUNS = 12
_SWEEP = """
description = "Small."
pipeline = "lstm-attention"
seeds = 3
[base]
data.dataset = "sample"
training.epochs = 6
model.units = 16
[rows]
attention = {}
mean = { model.pooling = "mean" }
both = { model.bidirectional = true }
deep = { model.num_layers = 2 }
"""
PROCESSES = Path("/proc")
_TIMES = ("seconds", "ended", "jobs", "cores")


def command(*arguments: object) -> list[str]:
    """Returns a command of this package."""
    return [sys.executable, "-m", "sst_keras", *map(str, arguments)]


def finish(arguments: Sequence[object], folder: Path) -> float:
    """Runs a command in a folder, and returns its seconds."""
    started = time.perf_counter()
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(done.stderr[-2000:])
    return time.perf_counter() - started


def first_start(folder: Path, since: float) -> float:
    """Returns the seconds from a time of `time.time` to the start of the first recorded training.

    The moment between the end of a training and its record counts as if it came before the start.
    """
    starts = [
        path.stat().st_mtime - json.loads(path.read_text("utf-8"))["seconds"]
        for path in folder.glob("[!.]*.json")
    ]
    return round(min(starts) - since, 1)


def kill_when(arguments: Sequence[object], folder: Path, is_time: Callable[[], bool]) -> bool:
    """Runs a command, and kills it when `is_time`. Returns whether it was killed."""
    process = subprocess.Popen(
        command(*arguments), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None:
        if is_time():
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.1)
    return False


def timeless(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the records in a folder by their files' names, without times."""
    found = {path.name: json.loads(path.read_text("utf-8")) for path in folder.glob("[!.]*.json")}
    return {
        name: {key: value for key, value in record.items() if key not in _TIMES}
        for name, record in found.items()
    }


@click.group()
def main() -> None:
    """Measure what a Ray cluster loses, and how fast it is."""


@main.command()
@click.option("--nodes", type=click.IntRange(2), default=3, show_default=True)
def sweep(nodes: int) -> None:
    """Compare the records of a sweep on a cluster with those of the local engine."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        (folder / "sweep.toml").write_text(_SWEEP, "utf-8")
        began, starts = time.time(), {}
        seconds = {"local": finish(["reproduce", "sweep.toml", "--records", "local"], folder)}
        starts["local"] = first_start(folder / "local", began)
        expected = timeless(folder / "local")
        found: dict[str, dict[str, Any]] = {}
        for case in ("undisturbed", "node killed", "command killed"):
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
            # In a common folder, a node would delete the working directory of another one's jobs.
            places = [str(folder / f"node{number}") for number in range(1, nodes)]
            others = [cluster.add_node(num_cpus=1, temp_dir=place) for place in places]
            records_in = folder / case.replace(" ", "-")
            arguments = ["reproduce", "sweep.toml", "--records", records_in.name]
            arguments += ["--engine", "ray", "--address", cluster.address]

            def done(at_least: int, place: Path = records_in) -> bool:
                return len(list(place.glob("[!.]*.json"))) >= at_least

            def lose(node: object = others[-1], of: Any = cluster, when: Any = done) -> None:
                while not when(2):
                    time.sleep(0.1)
                of.remove_node(node, allow_graceful=False)

            if case == "node killed":
                threading.Thread(target=lose, daemon=True).start()
            if case == "command killed" and not kill_when(arguments, folder, lambda: done(4)):
                raise click.ClickException("The command ended before it could be killed.")
            kept = {path: path.stat().st_mtime_ns for path in records_in.glob("[!.]*.json")}
            began = time.time()
            seconds[case] = finish(arguments, folder)
            if case == "undisturbed":
                starts[case] = first_start(records_in, began)
            again = [path.name for path, when in kept.items() if path.stat().st_mtime_ns != when]
            found[case] = {
                "records": len(timeless(records_in)),
                "equal": sum(timeless(records_in).get(n) == r for n, r in expected.items()),
                "before_the_kill": len(kept),
                "of_these_run_again": len(again),
            }
            cluster.shutdown()
    record = records.append(
        NAME, PACKAGES, what="sweep", nodes=nodes, runs=RUNS, cases=found,
        seconds={name: round(value, 1) for name, value in seconds.items()},
        seconds_to_first_run=starts,
    )  # fmt: skip
    click.echo(json.dumps({name: record[name] for name in ("cases", "seconds")}, indent=1))


def write_texts(folder: Path, texts: int, files: int) -> None:
    """Writes numbered reviews made of sentences of the sample into some files."""
    trees = Path(__file__).parents[1] / "data" / "sample" / "test.txt"
    leaves = re.compile(r"\(\d ([^()]+)\)")
    sentences = [" ".join(leaves.findall(tree)) for tree in trees.read_text("utf-8").splitlines()]
    rng = random.Random(1)
    for number in range(files):
        with (folder / f"{number}.csv").open("w", encoding="utf-8") as file:
            file.write("id,text\n")
            for row in range(number, texts, files):
                file.write(f'{row},"{rng.choice(sentences)} {rng.choice(sentences)}"\n')


def ids_in(folder: Path) -> list[int]:
    """Returns the numbers of the texts in all parts of a folder."""
    found: list[int] = []
    for path in sorted(folder.glob("part-*.csv")):
        with path.open(encoding="utf-8") as file:
            next(file)
            found += [int(line.split(",", 1)[0]) for line in file]
    return found


def workers() -> dict[int, int]:
    """Returns the number of each process of an actor → its bytes, without what it shares.

    Ray's object store, which has a bound of its own, is mapped into all of them.
    """
    found = {}
    for status in PROCESSES.glob("[0-9]*/status"):
        try:
            if "ray::MapWorker" in (status.parent / "cmdline").read_text("utf-8", "replace"):
                lines = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines())
                found[int(status.parent.name)] = int(lines["RssAnon"].split()[0]) * 1024
        except (OSError, KeyError, ValueError):
            continue
    return found


@main.command()
@click.option("--texts", default=2_000_000, show_default=True)
@click.option("--files", default=8, show_default=True)
@click.option("--kills", default=2, show_default=True)
@click.option("--part-rows", default=10_000, show_default=True)
def predict(texts: int, files: int, kills: int, part_rows: int) -> None:
    """Predict many texts in parts on all cores, with kills, and compare with one core."""
    from sst_keras.engines.local import cores

    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "few").mkdir()
        write_texts(folder / "in", texts, files)
        write_texts(folder / "few", max(texts // 20, 10 * part_rows), 1)
        base = ["predict", "small", "--engine", "ray", "--part-rows", part_rows]
        one_core = {min(os.sched_getaffinity(0))}
        alone = rate_of(folder, [*base, "--file", "few", "--out", "alone"], one_core)
        here = ["predict", "small", "--part-rows", part_rows, "--file", "few", "--out", "local"]
        local = rate_of(folder, here, actors=1)
        arguments = [*base, "--file", "in", "--out", "out", "--resume"]
        memory: dict[int, list[int]] = {}
        out, log, stop = folder / "out", folder / "out" / "_parts.jsonl", threading.Event()

        def parts_done() -> int:
            return len(parts_in(log))

        def watch() -> None:
            while not stop.wait(5):
                for worker, size in workers().items():
                    memory.setdefault(worker, []).append(size)

        threading.Thread(target=watch, daemon=True).start()
        rng, killed = random.Random(1), 0
        for _ in range(kills):
            due = parts_done() + rng.randint(3, 8)
            killed += kill_when(arguments, folder, lambda due=due: parts_done() >= due)
        before = parts_done()
        on_all = rate_of(folder, arguments)
        stop.set()
        found = ids_in(out)
        sizes = {
            name: sum(path.stat().st_size for path in place.glob("*.csv")) / texts
            for name, place in (("in", folder / "in"), ("out", out))
        }
        record = records.append(
            NAME, PACKAGES, what="predict", texts=texts, files=files, part_rows=part_rows,
            killed=killed, cores=cores(), parts_before=before, rate=on_all, rate_of_one_core=alone,
            rate_of_local_engine=local, texts_in_parts=len(found),
            once=sorted(found) == list(range(texts)), bytes_by_worker=list(memory.values()),
            bytes_per_text=sizes,
            read_per_second=reading_rate(folder / "in" / "0.csv"),
        )  # fmt: skip
    shown = {name: value for name, value in record.items() if name != "machine"}
    click.echo(json.dumps(shown, indent=1))


def reading_rate(path: Path) -> int:
    """Returns the rows of a file that are read in a second, by one core."""
    from sst_keras.settings import DataConfig
    from sst_keras.tables.reading import open_table

    started = time.perf_counter()
    table = open_table(path, DataConfig(), with_label=False, lenient=True)
    rows = sum(len(block.lines) for block in table.blocks())
    return round(rows / (time.perf_counter() - started))


def parts_in(log: Path) -> dict[tuple[int, int], int]:
    """Returns the rows of each part that a log has, by its file and number."""
    lines = log.read_text("utf-8").splitlines(keepends=True) if log.is_file() else []
    # The last line may be half written.
    items = [json.loads(line) for line in lines if line.endswith("\n")]
    return {
        (item["file"], item["number"]): item["rows"]
        for item in items
        if item.get("number", -1) >= 0
    }


def rate_of(
    folder: Path,
    arguments: Sequence[object],
    on: set[int] | None = None,
    actors: int | None = None,
) -> dict[str, float]:
    """Runs `predict` with its log of parts; returns texts, seconds, and texts per second.

    `to_first_part` are the seconds from the start of the command to its first part. The command and
    all that it starts run on some cores, or on all. There is an actor for each, unless `actors`
    says how many there are.
    """
    log = folder / str(arguments[list(arguments).index("--out") + 1]) / "_parts.jsonl"
    seen, started = set(parts_in(log)), time.perf_counter()
    process = subprocess.Popen(
        command(*arguments), cwd=folder, stderr=subprocess.DEVNULL,
        preexec_fn=(lambda: os.sched_setaffinity(0, on)) if on else None,
    )  # fmt: skip
    done: list[tuple[float, int]] = []
    while True:
        has_ended = process.poll() is not None
        parts = parts_in(log)
        done += [(time.perf_counter(), parts[part]) for part in parts if part not in seen]
        seen.update(parts)
        if has_ended:
            break
        time.sleep(0.05)
    if process.returncode:
        raise click.ClickException("predict failed.")
    found = rate(done, actors or len(on or os.sched_getaffinity(0)))
    return found | {"to_first_part": round(done[0][0] - started, 1)}


def rate(done: Sequence[tuple[float, int]], actors: int) -> dict[str, float]:
    """Returns texts, seconds, and texts per second, from the time and the rows of each part.

    As many parts as there are actors are left out at both ends. While the first ones are made,
    actors are still starting, and while the last ones are made, some have nothing left to do.
    """
    kept = done[actors:-actors]
    if len(kept) < max(2, actors):
        raise click.ClickException(
            f"expected at least {2 * actors + max(2, actors)} parts, to measure {actors} actors. "
            f"Received {len(done)}. Choose more --texts, or fewer --part-rows."
        )
    seconds, texts = kept[-1][0] - done[actors - 1][0], sum(rows for _, rows in kept)
    return {"texts": texts, "seconds": round(seconds, 1), "per_second": round(texts / seconds)}


if __name__ == "__main__":
    main()
