"""The benchmarks' records: JSON lines under `results/`, each with the machine and the versions."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results"
INSTRUCTION_SETS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
_CPUINFO = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Returns the CPU's name, those of `INSTRUCTION_SETS` that it has, its cores, and the system.

    Instruction sets are empty on systems other than Linux.
    """
    lines = _CPUINFO.read_text("utf-8").splitlines() if _CPUINFO.is_file() else []
    entries = (line.partition(":")[::2] for line in lines)
    info = {key.strip(): value.strip() for key, value in entries}
    flags = info.get("flags", "").split()
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "instruction_sets": [name for name in INSTRUCTION_SETS if name in flags],
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }


def path_of(benchmark: str) -> Path:
    """Returns the file of a benchmark's records."""
    return RESULTS / f"benchmarks-{benchmark}.jsonl"


def read(benchmark: str) -> list[dict[str, Any]]:
    """Returns a benchmark's records, oldest first."""
    path = path_of(benchmark)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def append(
    benchmark: str, packages: tuple[str, ...], others: dict[str, str] | None = None, **measured: Any
) -> dict[str, Any]:
    """Appends a record, and returns it.

    Args:
        benchmark: The benchmark's name.
        packages: The packages whose versions matter.
        others: Versions of packages in another environment.
        **measured: Settings and measurements; None for what could not be measured.
    """
    record = {
        "benchmark": benchmark,
        **measured,
        "machine": machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages} | (others or {}),
        "date": time.strftime("%Y-%m-%d"),
    }
    path = path_of(benchmark)
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
    return record
