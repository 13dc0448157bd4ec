"""Where files lie: the data folder, the user's cache, and what ships with the package."""

from __future__ import annotations

import os
from pathlib import Path

from sst_keras.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def cache_dir() -> Path:
    """Returns the user's cache folder: `$XDG_CACHE_HOME/sst_keras` or `~/.cache/sst_keras`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sst_keras"


def data_dirs(data_dir: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the folders in which `sst/` and `vectors/` are looked for, in order.

    First `data_dir`, or else the folder that the environment variable `SST_KERAS_DATA` names; then
    the user's cache, which has the same layout.

    Raises:
        UsageError: If the named folder is not there.
    """
    named = data_dir or os.environ.get("SST_KERAS_DATA")
    if not named:
        return (cache_dir(),)
    if not Path(named).is_dir():
        origin = "--data-dir" if data_dir else "SST_KERAS_DATA"
        raise UsageError(
            f"{origin}: expected a folder that holds sst/ or vectors/, but there is no folder "
            f"{named!s}. Correct the path, or leave it out to use the cache {cache_dir()}."
        )
    return (Path(named), cache_dir())


def bundled(name: str) -> Path:
    """Returns a folder that ships with the package: `pipelines` or `sample`.

    An installed wheel holds them inside the package. In a checkout they stand beside it, at
    `pipelines/` and `data/sample/`, so that the repository has one copy of each.
    """
    installed = _PACKAGE / name
    if installed.is_dir():
        return installed
    return _PACKAGE.parent / {"pipelines": "pipelines", "sample": "data/sample"}[name]
