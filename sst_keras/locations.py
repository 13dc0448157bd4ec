"""Where files are: the data folder, the user's cache, what ships with the package, the network."""

import contextlib
import os
import threading
import urllib.request
from pathlib import Path

import platformdirs

from sst_keras.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent
_PROBE_SECONDS = 8.0


def cache_dir() -> Path:
    """Returns the user's cache folder, such as `~/.cache/sst_keras` on Linux."""
    return platformdirs.user_cache_path("sst_keras", appauthor=False)


def data_dirs(data_dir: str | Path | None = None) -> tuple[Path, ...]:
    """Returns the folders that are searched for `sst/` and `vectors/`, in order.

    The first is `data_dir`, or the folder that the environment variable `SST_KERAS_DATA` names if
    `data_dir` is None. The last is the user's cache, which has the same layout.

    Raises:
        UsageError: If the named folder does not exist.
    """
    named = data_dir or os.environ.get("SST_KERAS_DATA")
    if not named:
        return (cache_dir(),)
    if not Path(named).is_dir():
        raise UsageError(
            f"expected a folder that holds sst/ or vectors/, but there is no folder {named!s}. "
            f"Correct the path, or leave it out to use the cache {cache_dir()}.",
            setting="data_dir" if data_dir else "SST_KERAS_DATA",
        )
    return (Path(named), cache_dir())


def bundled(name: str) -> Path:
    """Returns a folder that ships with the package: `pipelines`, `sample`, `behaviour`, `small`.

    An installed wheel has them inside the package. A checkout has them beside it, and only a
    checkout has `word_vectors`.
    """
    installed = _PACKAGE / name
    if installed.is_dir():
        return installed
    places = {"pipelines": "pipelines", "small": "saved_models/small"}
    places["word_vectors"] = "data/vectors"
    return _PACKAGE.parent / places.get(name, f"data/{name}")


def is_reachable(url: str, seconds: float = _PROBE_SECONDS) -> bool:
    """Returns whether `url` answers a HEAD request within `seconds`.

    The request runs in a thread because a name lookup can outlast every socket timeout.
    """
    answers: list[int] = []

    def ask() -> None:
        request = urllib.request.Request(url, method="HEAD")
        with contextlib.suppress(OSError):  # the base class of URLError and of timeouts
            with urllib.request.urlopen(request, timeout=seconds) as response:
                answers.append(response.status)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers == [200]
