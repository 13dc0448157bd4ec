"""The benchmarks' records: JSON lines under `results/`, each with what it was measured on."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"


def cpu() -> str:
    """Returns what the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def path_of(benchmark: str) -> Path:
    """Returns the file of a benchmark's records."""
    return RESULTS / f"benchmarks-{benchmark}.jsonl"


def read(benchmark: str) -> list[dict[str, Any]]:
    """Returns a benchmark's records, the oldest first."""
    path = path_of(benchmark)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def append(
    benchmark: str, packages: tuple[str, ...], others: dict[str, str] | None = None, **measured: Any
) -> dict[str, Any]:
    """Appends a record, and returns it.

    Args:
        benchmark: Its name.
        packages: The packages whose versions matter.
        others: Versions of packages in another environment.
        **measured: Settings and figures.
    """
    record = {
        "benchmark": benchmark,
        **measured,
        "machine": {"cpu": cpu(), "cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages} | (others or {}),
        "date": time.strftime("%Y-%m-%d"),
    }
    path = path_of(benchmark)
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    return record
