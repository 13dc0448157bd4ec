"""Parquet → rows, by Arrow, some thousands at a time."""

import datetime
import decimal
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sst_keras.errors import InputError, UsageError
from sst_keras.packed import check_unpacked

_ROWS = 8192  # in memory at a time


def is_parquet(path: Path) -> bool:
    """Returns whether a file begins like Parquet."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def column_names(path: Path) -> tuple[str, ...]:
    """Returns the names of the columns; errors are those of `read_rows`."""
    with _opened(path) as file:
        return tuple(file.schema_arrow.names)


class Binary(str):
    """Bytes that are no text, in hexadecimal digits."""


def column_types(path: Path) -> dict[str, str]:
    """Returns the name of each column → Arrow's name of its type; errors as in `read_rows`."""
    with _opened(path) as file:
        return {field.name: str(field.type) for field in file.schema_arrow}


def count_rows(path: Path) -> int:
    """Returns the number of rows that the file says it has; errors are those of `read_rows`."""
    with _opened(path) as file:
        return file.metadata.num_rows


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yields the rows, column → value, as JSON would have them.

    Times and decimals become strings, numbers that are not finite None, and bytes text in UTF-8 or
    `Binary`.

    Raises:
        UsageError: If pyarrow is not installed.
        InputError: If the file is damaged, or unpacks to absurdly much.
    """
    with _opened(path) as file:
        groups = range(file.metadata.num_row_groups)
        check_unpacked(path, sum(file.metadata.row_group(n).total_byte_size for n in groups))
        try:
            for batch in file.iter_batches(batch_size=_ROWS):
                names, columns = batch.schema.names, batch.columns
                values = [list(map(_plain, column.to_pylist())) for column in columns]
                yield from (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))
        except _errors() as error:
            raise _damaged(path, error) from None


def _opened(path: Path) -> Any:
    require()
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except _errors() as error:
        raise _damaged(path, error) from None


def require() -> None:
    """Raises a `UsageError` if pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError(
            "Parquet needs pyarrow. Install it with `pip install 'sst-keras[parquet]'`, or use CSV."
        ) from None


def _errors() -> tuple[type[Exception], ...]:
    import pyarrow

    return OSError, ValueError, pyarrow.ArrowException


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: expected a Parquet file ({str(error).splitlines()[0][:200]}).")


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | None):  # also true and false
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return Binary(value.hex())
    if isinstance(value, datetime.date | datetime.time | datetime.datetime):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | datetime.timedelta):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value)
