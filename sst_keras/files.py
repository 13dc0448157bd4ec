"""Files that appear complete or not at all, and JSON."""

import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sst_keras.errors import InputError


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, and renames it to `path` on success.

    Readers see the old file or the new one, never a part of it, even if the writer is killed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Many writers look at the extension.
    partial = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file with `whole_file`."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def to_json(value: Any, indent: int | None = None) -> str:
    """Returns `value` as JSON. NaN and infinities, which JSON lacks, become null."""
    return json.dumps(
        _finite(value), indent=indent, ensure_ascii=False, allow_nan=False, default=str
    )


def _finite(value: Any) -> Any:
    """Returns `value` with plain Python numbers, and None for each float that is not finite."""
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: str | Path, value: Any, indent: int | None = 2) -> None:
    """Writes a JSON file with `whole_file`, as `to_json` formats it."""
    write_text(path, to_json(value, indent) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Reads a JSON object from a file. If the file is missing or holds none: `InputError`."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a JSON file. {error}") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a JSON object. Received: {str(found)[:40]}")
    return found
