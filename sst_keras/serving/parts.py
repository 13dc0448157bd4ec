"""Many files of texts → their predictions in parts, in this process or by the actors of a cluster.

A part has some ten thousand rows of one file. It appears complete or not at all, and its content
depends on nothing but the file, the model and the settings. So a job that was killed, or whose
nodes died, goes on with the parts that are missing, and no text is predicted into two of them.
"""

import contextlib
import json
import pickle
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.fields import Range, check_fields
from sst_keras.locks import locked
from sst_keras.serving.prediction import Predictor
from sst_keras.serving.scoring import (
    CLASS,
    COUNTS,
    MOST,
    NOT_CLASSIFIED,
    PROBLEM,
    check_names,
    count_header,
    new_names,
    predictions,
    row_writer,
    write_answers,
)
from sst_keras.settings import DataConfig
from sst_keras.tables import parquet
from sst_keras.tables.patterns import PARTS_LOG
from sst_keras.tables.reading import Block, Source, Table, open_texts

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
ROWS = 50_000  # of a part
_SHOWN = 5  # lines that a note names
_PATIENCE = 10.0  # seconds until a file system that nodes share shows a file
_BLOCK = 8192  # rows that are read at a time; the first block shows whether a file is read well
# Arrow's types of columns that parts in Parquet keep.
_KEPT = {
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float",
    "double",
}  # fmt: skip
_FORMAT = 1  # of the log
_CHANGED = "it changed after the command began. Use another folder to predict it anew."
_FORMER_LOG = "parts.jsonl"  # as it was called when parts had other rows
# What each line of the log has, if it is that of a part or a file.
_LINE = {
    "file": Range(0, MOST), "number": Range(-1, MOST), "rows": Range(0, MOST),
    "parts": Range(0, MOST), "counts": str, "problem": str, "bytes?": Range(0, MOST),
    "digest?": str,
}  # fmt: skip
_ANEW = "Choose another folder, or delete this one to start anew."
# What must be the same when a job goes on, as those who give the command call it.
_NAMES = {
    "format": "another version of sst_keras",
    "files": "other files",
    "reading": "other options of how files are read, such as --text-column",
    "model": "another model",
    "ending": "another --format",
    "rows": "another --part-rows",
    "keep_formulas": "another choice of --keep-formulas",
}

Item = dict[str, Any]
Flow = Callable[[Sequence[Any], Callable, type, tuple], Iterable[Item]]


def fingerprint(model: Path) -> str:
    """Returns what tells a SavedModel from another: its index, with a checksum of each weight."""
    return files.sha256(model / "variables" / "variables.index")


@dataclass(frozen=True)
class Job:
    """What is predicted, how, and into which folder.

    Attributes:
        files: The files, in order. A part's name begins with the number of its file.
        data: How they are read.
        model: The folder of the SavedModel.
        fingerprint: What tells the model from another.
        out: The folder of the parts.
        as_tables: Whether all files are tables, or JSON; otherwise that is found for each.
        ending: That of the parts, of `ENDINGS`.
        rows: How many rows a part has; the last one of a file may have fewer.
        keep_formulas: As `scoring.score_table` takes it.
        version: That of this package, which the nodes of a cluster must have, too.
        stats: The bytes of each file and when it was last changed, once the job has begun.
    """

    files: tuple[Path, ...]
    data: DataConfig
    model: Path
    fingerprint: str
    out: Path
    as_tables: bool = False
    ending: str = ".csv"
    rows: int = ROWS
    keep_formulas: bool = False
    version: str = metadata.version("sst-keras")
    stats: tuple[tuple[int | None, int | None], ...] = ()

    def begun(self) -> "Job":
        """Returns the job with what tells its files from others."""
        return replace(self, stats=tuple(map(_size_and_time, self.files)))

    def about(self) -> dict[str, Any]:
        """Returns what must be the same when the job goes on."""
        return {
            "format": _FORMAT,
            "files": [
                [str(path), *stat] for path, stat in zip(self.files, self.stats, strict=True)
            ],
            "reading": f"{self.data}, {self.as_tables}",
            "model": self.fingerprint,
            "ending": self.ending,
            "rows": self.rows,
            "keep_formulas": self.keep_formulas,
        }

    def part(self, file: int, number: int) -> Path:
        """Returns where a part is."""
        return self.out / f"part-{file:05}-{number:06}{self.ending}"

    def open(self, file: int) -> Table:
        """Opens a file, whose bad rows become problems of its blocks."""
        return open_texts(self.files[file], self.data, self.as_tables)


@dataclass
class Summary:
    """What a job has done.

    Attributes:
        files: The files.
        rows: Rows in all parts, also those of earlier calls.
        parts: Number of parts.
        problems: File → why its rest could not be read.
    """

    files: tuple[Path, ...]
    rows: int = 0
    parts: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    _counts: dict[int, "_Rows"] = field(default_factory=dict)

    @property
    def not_classified(self) -> int:
        """The number of rows without a prediction."""
        return sum(each.counts.get(NOT_CLASSIFIED, (0,))[0] for each in self._counts.values())

    def notes(self) -> list[str]:
        """Returns a sentence on each unusual thing in each file."""
        return [note for _, each in sorted(self._counts.items()) for note in each.notes()]

    def add(self, item: Item) -> None:
        """Adds a part that is done, the end of a file, or why its rest could not be read."""
        file = item["file"]
        self.rows += item["rows"]
        self.parts += item["number"] >= 0
        if item["problem"]:
            self.problems[str(self.files[file])] = item["problem"]
        of_file = self._counts.setdefault(file, _Rows(self.files[file], (), {}, []))
        for what, (number, lines) in json.loads(item["counts"]).items():
            before, first = of_file.counts.get(what, (0, []))
            of_file.counts[what] = before + number, sorted([*first, *lines])[:_SHOWN]


@dataclass
class _Rows(Source):
    """Rows of a file that are held in memory; `predictions` takes it as a table.

    Attributes:
        names: Those of the columns; none if only the texts are kept.
        types: Column → Arrow's name of its type, if the file is Parquet.
    """

    path: Path
    names: tuple[str, ...]
    types: dict[str, str]
    held: list[Block]
    counts: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    @property
    def header(self) -> tuple[str, ...]:
        """The names of the columns that are written beside the predictions."""
        return self.names or ("text",)

    def blocks(self) -> Iterator[Block]:
        """Yields the rows."""
        return iter(self.held)


def predict_parts(
    job: Job,
    flow: Flow | None = None,
    resume: bool = False,
    progress: Callable[[Summary], None] = lambda done: None,
) -> Summary:
    """Predicts each row of many files, and writes the rows with their predictions in parts.

    The columns are those of `scoring.score_table`. `_parts.jsonl` in the folder says which parts
    are done; its last line has `complete`.

    Args:
        job: The files, the model and the folder.
        flow: Sends parts to the actors of a cluster, as `Cluster.flow` does; None to predict here.
            Then all nodes see the files, the model and the folder under the same paths.
        resume: Whether to go on after what an earlier call has done.
        progress: Is called after each part.

    Raises:
        UsageError: If the folder has other files, or a column exists already.
        InputError: If the folder is another one on the nodes of a cluster. A file that cannot be
            read to its end is among the `problems`.
    """
    if job.ending == ".parquet":
        parquet.require()
    job = job.begun()
    log, summary = _Log(job), Summary(job.files)
    with locked(job.out, "out"):
        return _predict_parts(job, log, summary, flow or _here, resume, progress)


def _predict_parts(
    job: Job,
    log: "_Log",
    summary: Summary,
    flow: Flow,
    resume: bool,
    progress: Callable[[Summary], None],
) -> Summary:
    """Predicts what is missing, into a locked folder."""
    items = log.read(resume)
    done: dict[int, set[int]] = {number: set() for number in range(len(job.files))}
    for item in items:
        if item["number"] >= 0:
            done[item["file"]].add(item["number"])
    complete = {
        item["file"]
        for item in items
        if item["number"] < 0 and item["parts"] == len(done[item["file"]])
    }
    # Files that are not complete are read again, and what was unusual in them is counted again.
    kept = [item for item in items if item["number"] >= 0 or item["file"] in complete]
    for item in kept:
        summary.add(item)
    left = [(file, parts) for file, parts in done.items() if file not in complete]
    with log.opened(kept) as write:
        for item in flow(left, _Reader(job), _Scorer, (job,)):
            path = job.files[item["file"]]
            if item["number"] >= 0:
                _wait_for(job.part(item["file"], item["number"]))
            elif _size_and_time(path) != job.stats[item["file"]]:
                item = _item(item["file"], -1, problem=f"{path}: {_CHANGED}")
            if not item["problem"]:
                write(item)
            summary.add(item)
            progress(summary)
        if not summary.problems:
            write({"complete": True, "rows": summary.rows, "parts": summary.parts})
    return summary


def _wait_for(part: Path) -> None:
    """Raises an `InputError` if a part that another node has written does not appear here."""
    end = time.monotonic() + _PATIENCE
    while not part.is_file():
        if time.monotonic() > end:
            raise InputError(
                f"{part} is not here, but a node of the cluster has written it. All nodes must see "
                f"this folder under the same path. Choose a folder that they share.",
                setting="out",
            )
        time.sleep(0.1)


def _here(
    items: Sequence[Any], read: Callable[[Any], Iterator[Item]], actor: type, arguments: tuple
) -> Iterator[Item]:
    score = actor(*arguments)
    for item in items:
        yield from map(score, read(item))


class _Reader:
    """Reads a file into items, one for each part that is missing, and one at its end."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __call__(self, of: tuple[int, set[int]]) -> Iterator[Item]:
        file, done = of
        number, path = 0, self.job.files[file]
        try:
            # A node may have a copy, whose time is its own.
            size, time_of_change = _size_and_time(path)
            expected, _ = self.job.stats[file]
            if None not in (size, expected) and size != expected:
                raise InputError(
                    f"{path}: {platform.node()} has {size:,} bytes of it, and the command has "
                    f"{expected:,}. All nodes must see the same file. Copy the command's there."
                )
            table = self.job.open(file)
            is_parquet = table.format.kind == "parquet"
            types = parquet.column_types(table.path) if is_parquet else {}
            for blocks in _grouped(table, self.job.rows):
                if number not in done:
                    yield _item(file, number, rows=len(blocks)) | {
                        "content": pickle.dumps((table.names, types, blocks))
                    }
                number += 1
            if _size_and_time(path) != (size, time_of_change):
                raise InputError(f"{path}: {_CHANGED}")
            yield _item(file, -1, table.counts, parts=number)
        except InputError as error:
            yield _item(file, -1, problem=str(error))
        except OSError as error:  # it may not be read, is gone, or its disk fails
            reason = error.strerror or str(error)
            problem = f"{path}: it cannot be read: {reason}."
            yield _item(file, -1, problem=problem)


def _size_and_time(path: Path) -> tuple[int | None, int | None]:
    """Returns the bytes of a file and when it was last changed; None for a file that is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None, None
    return stat.st_size, stat.st_mtime_ns


def _item(
    file: int,
    number: int,
    counts: Mapping[str, tuple[int, list[int]]] | None = None,
    rows: int = 0,
    parts: int = 0,
    problem: str = "",
    written: int = 0,
    digest: str = "",
) -> Item:
    """Returns a part, or with the number -1 the end of a file that has so many `parts`.

    `written` are the part's bytes, and `digest` is their sha256.
    """
    about = {"file": file, "number": number, "rows": rows, "parts": parts, "bytes": written}
    about |= {"digest": digest, "counts": json.dumps(counts or {}), "problem": problem}
    return about | {"content": b""}


def _grouped(table: Table, rows: int) -> Iterator[list[Block]]:
    """Yields the rows of each part, in blocks."""
    group, size = [], 0
    for block in table.blocks(_BLOCK):
        start = 0
        while start < len(block.lines):
            end = min(start + rows - size, len(block.lines))
            group.append(Block(*(column[start:end] for column in block)))
            size += end - start
            start = end
            if size == rows:
                yield group
                group, size = [], 0
    if group:
        yield group


class _Scorer:
    """Writes the parts; an actor of a cluster is one."""

    def __init__(self, job: Job) -> None:
        if (here := metadata.version("sst-keras")) != job.version:
            raise UsageError(
                f"{platform.node()} has sst_keras {here}, and the command has {job.version}. "
                f"Install the same version on every node."
            )
        self.job, self.predictor = job, Predictor.load(job.model)
        if fingerprint(job.model) != job.fingerprint:
            raise UsageError(
                f"{job.model} on {platform.node()} is another model than the command's. All nodes "
                f"must see the same one. Copy it there."
            )

    def __call__(self, item: Item) -> Item:
        file, number = item["file"], item["number"]
        if number < 0:
            return dict(item)
        try:
            table = _Rows(self.job.files[file], *pickle.loads(item["content"]))
            check_names(self.predictor, table.header, self.job.ending)
            size = sum(len(block.lines) for block in table.held)
            with files.whole_file(self.job.part(file, number), on_disk=True) as partial:
                self._write(table, partial)
                written, digest = partial.stat().st_size, files.sha256(partial)
            if not number:
                count_header(table, table.header, self.job.ending, self.job.keep_formulas)
        except InputError as error:
            return _item(file, -1, problem=str(error))
        return _item(file, number, table.counts, size, written=written, digest=digest)

    def _write(self, table: _Rows, path: Path) -> None:
        new = new_names(self.predictor)
        names, job = [*table.header, *new], self.job
        answers = predictions(self.predictor, table)
        if job.ending == ".parquet":
            rows: list[Sequence[Any]] = []
            for some in answers:
                write_answers(rows.append, some, table, len(new))
            _write_parquet(path, names, rows, table.types, len(new))
            return
        with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
            with row_writer(job.ending, file, names, False, job.keep_formulas) as write:
                for some in answers:
                    write_answers(write, some, table, len(new))


def _write_parquet(
    path: Path,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    types: Mapping[str, str],
    new: int,
) -> None:
    """Writes rows, of which the last `new` columns are those of predictions.

    Numbers and truth values of Parquet keep their types. Other columns are strings, with JSON for
    what is none, so that all parts of a file have the same types.
    """
    import pyarrow
    import pyarrow.parquet

    columns = {}
    for place, name in enumerate(names):
        values = [row[place] for row in rows]
        if place >= len(names) - new:
            is_text = name in (CLASS, PROBLEM)
            kind = pyarrow.string() if is_text else pyarrow.float64()
        elif types.get(name) in _KEPT:
            kind = pyarrow.type_for_alias(types[name])
        else:
            kind = pyarrow.string()
            values = [
                value if value is None or isinstance(value, str) else json.dumps(value)
                for value in values
            ]
        columns[name] = pyarrow.array(values, kind)
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


class _Log:
    """`_parts.jsonl`: a line for the job, then one for each part and each file that is done."""

    def __init__(self, job: Job) -> None:
        self.job, self.path = job, job.out / PARTS_LOG

    def read(self, resume: bool) -> list[Item]:
        """Returns what an earlier call has done; nothing if there was none.

        A part that is not there any more, or has changed since, is left out.

        Raises:
            UsageError: If the folder has something else, or an earlier call's parts and not
                `resume`.
            InputError: If the log is damaged.
        """
        folder = self.job.out
        lines = self._lines()
        if not lines:
            # A command that was killed while it wrote the log has left a hidden half of it.
            if folder.exists() and any(path.name[0] != "." for path in folder.iterdir()):
                found = f"{str(folder)!r} has files already."
                if (folder / _FORMER_LOG).is_file():
                    found = (
                        f"{str(folder)!r} has {_FORMER_LOG}: an earlier version of sst_keras began "
                        f"it, and this one cannot go on with it."
                    )
                raise UsageError(f"{found} Choose another folder.", setting="out")
            return []
        parts = sum("file" in line and line["number"] >= 0 for line in lines)
        if not resume:
            held = f"{parts:,} {'part' if parts == 1 else 'parts'}"
            raise UsageError(
                f"{str(folder)!r} holds {held} of an earlier command. Use --resume to go "
                f"on with it, or delete the folder.",
                setting="resume",
            )
        # JSON has no tuples.
        about = json.loads(json.dumps(self.job.about()))
        if different := [name for name in about if lines[0].get(name) != about[name]]:
            raise UsageError(
                f"{str(folder)!r} was begun with {_NAMES[different[0]]}. Choose another folder, or "
                f"delete it to start anew.",
                setting="resume",
            )
        ranges = {"file": Range(0, len(self.job.files) - 1), "rows": Range(0, self.job.rows)}
        found = {}
        for number, line in enumerate(lines, 1):
            if "file" in line:
                check_fields(line, ranges, self._place(number), _ANEW)
                found[line["file"], line["number"]] = line
        return [
            line for (file, number), line in found.items() if number < 0 or self._is_whole(line)
        ]

    def _is_whole(self, line: Item) -> bool:
        """Whether a part is as it was written. Earlier versions did not log its bytes or sha256."""
        part, digest = self.job.part(line["file"], line["number"]), line.get("digest")
        if not part.is_file() or line.get("bytes") not in (None, part.stat().st_size):
            return False
        return not digest or digest == files.sha256(part)

    @contextlib.contextmanager
    def opened(self, kept: Sequence[Item]) -> Iterator[Callable[[Item], None]]:
        """Writes what is kept of an earlier call, and yields a function that adds a line."""
        for path in (self.path, self.job.out / f"part-*{self.job.ending}"):
            files.remove_partial(path)
        lines = [self.job.about(), *kept]
        files.write_text(self.path, "".join(map(files.sealed_line, lines)), on_disk=True)
        with self.path.open("a", encoding="utf-8") as file:

            def add(line: Item) -> None:
                known = {name: value for name, value in line.items() if name != "content"}
                file.write(files.sealed_line(known))
                file.flush()

            yield add

    def _lines(self) -> list[dict[str, Any]]:
        """Returns the lines. Those of parts and files have what `_LINE` says."""
        lines = files.read_sealed_lines(self.path, _ANEW)
        for number, line in enumerate(lines, 1):
            if "file" in line:
                check_fields(line, _LINE, self._place(number), _ANEW)
                counts = {"counts": _decoded(line["counts"])}
                check_fields(counts, {"counts": COUNTS}, self._place(number), _ANEW)
        return lines

    def _place(self, number: int) -> str:
        return f"{self.path}, line {number}"


def _decoded(text: str) -> Any:
    """Returns what JSON says; the text itself if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
