"""Records of runs: JSON lines, one a run, that a kill at any moment leaves sound."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from sst_keras import files
from sst_keras.errors import InputError, UsageError

try:
    import fcntl
except ImportError:  # not a POSIX system: nothing keeps two writers apart
    fcntl = None


def read_records(path: str | Path) -> list[dict[str, Any]]:
    """Reads a file of records. A last line without its end was cut short, and is no record.

    Raises:
        InputError: If the file is not there, or a whole line is no JSON object.
    """
    try:
        whole, _, _ = Path(path).read_bytes().rpartition(b"\n")
    except OSError as error:
        raise InputError(f"{path}: expected a file of records. {error.strerror}.") from None
    records = []
    for number, line in enumerate(whole.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise InputError(
                f"{path}, line {number}: expected a record, a JSON object. Received: "
                f"{line[:60].decode('utf-8', 'replace')!r}. Take the line out; its run is then run "
                f"again."
            )
        records.append(record)
    return records


# What a record of a run has: one that failed these and its `error`, a finished one all.
_HEAD = ("pipeline", "tag", "variant", "seed", "settings", "seconds")
_FIGURES = (
    "epochs", "best_epoch", "dev", "test", "dev_at_best", "test_at_best_dev", "commit", "versions",
    "dataset", "data_fingerprint", "vectors", "class_names", "confusion_matrix",
    "confusion_matrix_at_best", "history", "checks", "ended",
)  # fmt: skip


def read_runs(path: str | Path) -> list[dict[str, Any]]:
    """Reads the records of a sweep's runs, as `reproduction.reproduce` writes them.

    Raises:
        InputError: If the file is not there, or a record is none of a run.
    """
    records = read_records(path)
    for number, record in enumerate(records, start=1):
        wanted = _HEAD if "error" in record else _HEAD + _FIGURES
        missing = [name for name in wanted if name not in record]
        if missing:
            raise InputError(
                f"{path}, record {number}: expected the record of a run of a sweep. Missing: "
                f"{', '.join(missing)}. `sst-keras reproduce` writes such records."
            )
    return records


class RecordsFile:
    """A file of records of runs, open for one writer: `with RecordsFile(path) as file: ...`.

    A line that a killed writer left without its end is taken away first.

    Args:
        path: The file; it is made where there is none.

    Attributes:
        records: The records so far.
    """

    def __init__(self, path: str | Path) -> None:
        """Names the file; see the class."""
        self.path = Path(path)
        self.records: list[dict[str, Any]] = []

    def __enter__(self) -> RecordsFile:
        """Opens the file, for this writer alone.

        Raises:
            UsageError: If another one has it open.
            InputError: If a line is no record of a run.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab")
        try:
            if fcntl is not None:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Another writer may have put a new file in the place of the one just opened.
                    is_there = os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
                except BlockingIOError:
                    is_there = False
                if not is_there:
                    raise UsageError(
                        f"{self.path}: another sweep is writing its records there. Wait for it, or "
                        f"give another file."
                    )
            self.records = read_runs(self.path)
            self._file.truncate(self.path.read_bytes().rfind(b"\n") + 1)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self._file.close()

    def append(self, record: dict[str, Any]) -> None:
        """Adds a record; when this returns it is on the disk."""
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.records.append(record)

    def keep(self, records: Iterable[dict[str, Any]]) -> None:
        """Puts these in place of the records so far; the file changes whole or not at all."""
        records = list(records)
        if records == self.records:
            return
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
        files.write_text(self.path, "".join(lines))
        self.__exit__(None, None, None)
        self.__enter__()
