"""Test accuracy of the pipelines on SST-5, mean and standard deviation over seeds.

    SST_KERAS_DATA=... python benchmarks/accuracy.py --seeds 3

Each run is a `sst-keras train` of its own, with the epoch chosen on dev; its record goes to
`results/accuracy.jsonl` as soon as it is there. Started again, what is there is not run again.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

import sst_keras
from sst_keras import files
from sst_keras.config import load_pipeline, pipeline_names

RESULTS = Path(__file__).parents[1] / "results" / "accuracy.jsonl"


def read_records(path: Path) -> list[dict]:
    """Returns the records so far."""
    return (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    )


def run(pipeline: str, seed: int, vectors: str, settings: tuple[str, ...]) -> dict:
    """Trains once, and returns the record."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "sst_keras", "train", pipeline, "--seed", str(seed)]
        if load_pipeline(pipeline).embedding.vectors != ("none",):
            command += ["--vectors", vectors]
        command += [part for setting in settings for part in ("--set", setting)]
        done = subprocess.run(
            [*command, "--run-dir", f"{folder}/run", "--json"], stdout=subprocess.PIPE, check=True
        )
        environment = files.read_json(f"{folder}/run/environment.json")
    record = json.loads(done.stdout)
    del record["run"]
    record["settings"] = list(settings)
    return record | {"commit": environment["git_commit"], "versions": environment["versions"]}


@click.command()
@click.argument("pipelines", nargs=-1)
@click.option("--seeds", default=3, show_default=True, help="Seeds 1 to N.")
@click.option("--vectors", default="glove.6B.50d.sst", show_default=True)
@click.option("--set", "settings", multiple=True, help="As `sst-keras train` takes it.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS, help="The records' file.")
def main(
    pipelines: tuple[str, ...], seeds: int, vectors: str, settings: tuple[str, ...], out: Path
) -> None:
    """Train PIPELINES, all if none is named, and print a table."""
    out.parent.mkdir(parents=True, exist_ok=True)
    names = pipelines or tuple(pipeline_names())

    def asked(records: list[dict]) -> list[dict]:
        return [record for record in records if record["settings"] == list(settings)]

    done = {(record["pipeline"], record["seed"]) for record in asked(read_records(out))}
    for name in names:
        for seed in range(1, seeds + 1):
            if (name, seed) not in done:
                click.echo(f"{name}, seed {seed} ...", err=True)
                line = json.dumps(run(name, seed, vectors, settings))
                with out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
    records = asked(read_records(out))
    click.echo(f"sst_keras {sst_keras.__version__}\n")
    click.echo("| pipeline | vectors | test accuracy | dev accuracy | n | seconds a run |")
    click.echo("|---|---|---|---|---|---|")
    for name in names:
        rows = [row for row in records if row["pipeline"] == name and row["seed"] <= seeds]
        cells = []
        for split in ("test", "dev"):
            figures = [100 * row[split]["accuracy"] for row in rows]
            spread = statistics.stdev(figures) if len(figures) > 1 else 0.0
            cells.append(f"{statistics.mean(figures):.1f} ± {spread:.1f}")
        seconds = statistics.median(row["seconds"] for row in rows)
        vectors = ", ".join(rows[0]["vectors"])
        click.echo(f"| `{name}` | {vectors} | {' | '.join(cells)} | {len(rows)} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
