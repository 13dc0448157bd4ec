"""Texts of any number → their predictions, row by row, on the screen or in a file.

Memory does not grow with the number of rows, and a row that cannot be classified does not stop the
others.
"""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.fields import Range, check_fields
from sst_keras.locks import locked_file
from sst_keras.serving.prediction import Prediction, Predictor
from sst_keras.tables.reading import Block, Table

ENDINGS = (".csv", ".tsv", ".jsonl")
BLANK = "the text is blank"
NOT_CLASSIFIED = "could not be classified"
_GUESSED = "had more words that the model does not know than words that it knows"
_FORMULA = "had a cell that looks like a formula, which now begins with an apostrophe"
# After characters that are not seen, and also those of full width.
_FORMULA_LIKE = re.compile(
    r"[\s\x00-\x1f\x7f\u200b-\u200f\u2060\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20]"
)
_OURS = (NOT_CLASSIFIED, _GUESSED, _FORMULA)  # counts that scoring adds
CLASS, _PROBABILITY, PROBLEM = "predicted_class", "predicted_probability", "prediction_problem"
_FORMAT = 2  # of what a stopped command leaves
MOST = 2**53  # rows or bytes
COUNTS = {"*": (Range(0, MOST), [Range(1, MOST)])}  # what is unusual → how often, first lines
_STATE = {"rows": Range(0, MOST), "bytes": Range(0, MOST), "content": str, "counts?": COUNTS}
_CHUNK = 1 << 16  # bytes
_LONGEST_LINE = 1 << 28  # bytes
_SHOWN = 5  # lines that a note names


class Answer(NamedTuple):
    """A row and its prediction.

    Attributes:
        line: Where the row starts, from 1.
        row: The values of the row's columns.
        prediction: None if the row could not be classified.
        problem: Why it could not be; else empty.
    """

    line: int
    text: str
    row: Sequence[Any]
    prediction: Prediction | None
    problem: str


@dataclass
class Lines:
    """Texts that are no file: arguments, or the lines of standard input.

    It has what `predictions` and `write` need of a `Table`.

    Attributes:
        blocks_of_texts: The texts, in blocks; None in place of one that is not UTF-8.
    """

    name: str
    blocks_of_texts: Iterable[Sequence[str | None]]
    names: tuple[str, ...] = ("text",)
    counts: dict[str, tuple[int, list[int]]] = field(default_factory=dict)

    def blocks(self) -> Iterator[Block]:
        """Yields the texts as rows of a table."""
        line = 1
        for texts in self.blocks_of_texts:
            lines = list(range(line, line + len(texts)))
            problems = ["" if text is not None else "expected UTF-8" for text in texts]
            texts, empty = [text or "" for text in texts], [""] * len(texts)
            yield Block(lines, texts, empty, empty, [(text,) for text in texts], problems)
            line += len(texts)

    def count(self, what: str, *lines: int) -> None:
        """Counts texts that are unusual in the same way, by their lines."""
        number, first = self.counts.get(what, (0, []))
        self.counts[what] = number + len(lines), [*first, *lines][:_SHOWN]

    def notes(self) -> list[str]:
        """Returns a sentence on each kind of these texts."""
        notes = []
        for what, (number, lines) in self.counts.items():
            shown = ", ".join(map(str, lines)) + (", ..." if number > len(lines) else "")
            texts = "1 text" if number == 1 else f"{number:,} texts"
            notes.append(f"{self.name}: {texts} {what} ({shown}).")
        return notes


def read_stream(stream: BinaryIO) -> Iterator[list[str | None]]:
    """Yields the lines of a stream as they come: those that are there, without waiting for more.

    Only line feeds end a line; a carriage return before one is taken off. A line that is not UTF-8
    is None.
    """
    rest, is_first = [], True  # a line in pieces, which are put together once it is complete
    size = 0
    while chunk := stream.read1(_CHUNK):
        size = 0 if b"\n" in chunk else size + len(chunk)
        if size > _LONGEST_LINE:
            raise InputError(f"standard input: expected lines of at most {_LONGEST_LINE:,} bytes.")
        *lines, last = chunk.split(b"\n")
        if lines:
            lines[0] = b"".join([*rest, lines[0]])
            rest = []
            yield _decoded(lines, is_first)
            is_first = False
        rest.append(last)
    if line := b"".join(rest):
        yield _decoded([line], is_first)


def _decoded(lines: Sequence[bytes], has_mark: bool) -> list[str | None]:
    found: list[str | None] = []
    for place, line in enumerate(lines):
        codec = "utf-8-sig" if has_mark and not place else "utf-8"
        try:
            found.append(line.removesuffix(b"\r").decode(codec))
        except UnicodeDecodeError:
            found.append(None)
    return found


def predictions(
    predictor: Predictor,
    table: Table | Lines,
    explain: bool = False,
    skip: int = 0,
    longest: int = 0,
) -> Iterator[list[Answer]]:
    """Yields the answers for the rows of a table, block by block, after the first `skip` rows.

    Rows that are not classified are counted in the table's notes. `explain` adds attention. Texts
    of more than `longest` bytes in UTF-8 are not classified; 0: all are.
    """
    for block in table.blocks():
        if skip >= len(block.lines):
            skip -= len(block.lines)
            continue
        pairs = zip(block.texts, block.problems, strict=True)
        problems = [problem or _problem(text, longest) for text, problem in pairs]
        good = [place for place, problem in enumerate(problems) if not problem]
        found = predictor.predict([block.texts[place] for place in good], explain)
        by_place = dict(zip(good, found, strict=True))
        if bad := [block.lines[place] for place, problem in enumerate(problems) if problem]:
            table.count(NOT_CLASSIFIED, *bad)
        if guessed := [block.lines[place] for place, each in by_place.items() if each.is_a_guess]:
            table.count(_GUESSED, *guessed)
        columns = zip(block.lines, block.texts, block.rows, problems, strict=True)
        answers = [
            Answer(line, text, row, by_place.get(place), problem)
            for place, (line, text, row, problem) in enumerate(columns)
        ]
        yield answers[skip:]
        skip = 0


def _problem(text: str, longest: int) -> str:
    if longest and len(text.encode("utf-8")) > longest:
        return f"the text has more than {longest:,} bytes"
    return "" if text.strip() else BLANK


def check_out(predictor: Predictor, table: Table | Lines, out: Path) -> None:
    """Checks that predictions of a table can be written to a file.

    Raises:
        UsageError: If `out` has another ending, is the table itself, or a column exists already.
    """
    own = {path.resolve() for path in (out, *_parts(out))}
    is_itself = isinstance(table, Table) and table.path.resolve() in own
    if out.suffix.lower() not in ENDINGS or is_itself:
        message = f"expected another file, ending in {', '.join(ENDINGS)}. Received: {str(out)!r}"
        raise UsageError(message, setting="out")
    if out.is_dir():
        raise UsageError(f"expected a file. {str(out)!r} is a folder.", setting="out")
    check_names(predictor, table.names, out.suffix.lower())


def check_names(predictor: Predictor, names: Sequence[str], ending: str) -> None:
    """Checks that columns can be written with those of predictions, to a file of some ending.

    Raises:
        UsageError: If predictions take one of the columns, or two have one name, of which JSON
            Lines and Parquet would keep one.
    """
    repeated = [name for name, number in Counter(names).items() if number > 1]
    if repeated and ending in (".jsonl", ".parquet"):
        raise UsageError(
            f"expected columns of different names, to write {ending}. Received several columns "
            f"{repeated[0]!r}. Rename one, or write .csv.",
            setting="file",
        )
    if taken := [name for name in new_names(predictor) if name in names]:
        raise UsageError(
            f"the file has a column {taken[0]!r} already. Rename it first.", setting="file"
        )


def score_table(
    predictor: Predictor,
    table: Table | Lines,
    out: Path,
    resume: bool = False,
    model: str = "",
    progress: Callable[[int, int], None] | None = None,
    longest: int = 0,
    keep_formulas: bool = False,
) -> int:
    """Predicts each row of a table and writes it with its prediction. Returns the number of rows.

    The columns of the table come first. Then come `predicted_class`, `predicted_probability`,
    `probability_NAME` for each class, and `prediction_problem`, which says why a row has no
    prediction.

    A spreadsheet takes a cell for a formula if it begins with `=`, `+`, `-` or `@`, and a formula
    can do harm. In CSV and TSV, such a cell gets an apostrophe before it unless it is a number or
    `keep_formulas` is set, and its row is counted in the table's notes.

    The rows are written to `OUT.part`, which becomes `out` at the end. If the command is stopped or
    killed, that file and `OUT.part.json` stay, and with `resume` it goes on after the last block.
    No other process can write the same part meanwhile.

    Args:
        predictor: The model.
        table: The opened file, which should be lenient, or lines.
        out: The file to write: CSV, TSV or JSON Lines, by its ending.
        resume: Whether to go on after what an earlier call has written.
        model: What tells one model from another, such as a fingerprint.
        progress: Is called with the line that is done, and the number of lines.
        longest: As in `predictions`.
        keep_formulas: Whether cells that look like formulas are written as they are.

    Raises:
        UsageError: See `check_out`; or an earlier call has left its part and this is not its
            `resume`, or that part is of another file or model, or another process writes it.
        InputError: If the file cannot be read.
    """
    check_out(predictor, table, out)
    with locked_file(_parts(out)[0], "out"):
        return _score_table(predictor, table, out, resume, model, progress, longest, keep_formulas)


def _score_table(
    predictor: Predictor,
    table: Table | Lines,
    out: Path,
    resume: bool,
    model: str,
    progress: Callable[[int, int], None] | None,
    longest: int,
    keep_formulas: bool,
) -> int:
    """Predicts the rows that are missing, into a locked part."""
    names, new = table.names or ("text",), new_names(predictor)
    part, state_file = _parts(out)
    job = _job(table, model, keep_formulas)
    state, digest = _state(part, state_file, job, resume)
    is_file = isinstance(table, Table)  # what is none cannot be read again
    if not state["rows"]:
        state_file.unlink(missing_ok=True)
        if is_file:  # before the part's first byte, so that a killed command can be resumed
            files.write_sealed_json(state_file, job | state)
    total, counted = 0, state.get("counts", {})
    for what, (number, lines) in counted.items():
        table.counts[what] = (number, list(lines))
    if progress and is_file:
        total = table.size()
    rows = state["rows"]
    # Half of a surrogate pair, which JSON can hold, becomes a question mark.
    encoding = {"encoding": "utf-8", "errors": "replace"}
    with (
        files.named_errors(part),
        part.open("r+", **encoding, newline="") as file,
        part.open("rb") as written,
    ):
        file.seek(state["bytes"])
        written.seek(state["bytes"])
        file.truncate()
        ending = out.suffix.lower()
        try:
            with row_writer(ending, file, [*names, *new], rows > 0, keep_formulas) as write:
                if not rows:
                    count_header(table, names, ending, keep_formulas)
                for answers in predictions(predictor, table, skip=rows, longest=longest):
                    write_answers(write, answers, table, len(new))
                    rows += len(answers)
                    file.flush()
                    if is_file:
                        digest.update(written.read())
                        state = job | _so_far(rows, written.tell(), digest)
                        # Reading the file again counts the rest again.
                        state["counts"] = {
                            what: table.counts[what] for what in _OURS if what in table.counts
                        }
                        files.write_sealed_json(state_file, state)
                    if progress:
                        progress(answers[-1].line, max(total, answers[-1].line))
        except BaseException:
            if not rows:  # nothing is done that a later command could go on with
                file.truncate(0)
                state_file.unlink(missing_ok=True)
            raise
    part.replace(out)
    state_file.unlink(missing_ok=True)
    return rows


def write_answers(
    write: Callable[[Sequence[Any]], bool], answers: Sequence[Answer], table: Any, new: int
) -> None:
    """Writes rows of a table with their predictions, which take `new` columns.

    The table counts those that `write` changed, because they look like formulas.
    """
    width = len(table.names) or 1
    for answer in answers:
        row = answer.row if table.names else (answer.text,)
        if write([*_padded(row, width), *_answer(answer, new)]):
            table.count(_FORMULA, answer.line)


def count_header(table: Any, names: Sequence[str], ending: str, keep_formulas: bool) -> None:
    """Counts the header in the table if `row_writer` changes it."""
    is_kept = keep_formulas or ending not in (".csv", ".tsv")
    if not is_kept and any(_disarmed(name) != name for name in names):
        table.count(_FORMULA, table.format.line or 1 if isinstance(table, Table) else 1)


def _parts(out: Path) -> tuple[Path, Path]:
    """Returns the files that a stopped command leaves: the rows, and what they are of."""
    return out.with_name(f"{out.name}.part"), out.with_name(f"{out.name}.part.json")


def new_names(predictor: Predictor) -> list[str]:
    """Returns the names of the columns that predictions take."""
    classes = (f"probability_{name}" for name in predictor.class_names)
    return [CLASS, _PROBABILITY, *classes, PROBLEM]


def _job(table: Table | Lines, model: str, keep_formulas: bool) -> dict[str, Any]:
    """Returns what must be the same when a command goes on."""
    if not isinstance(table, Table):
        return {}
    found = table.path.stat()
    about = {"file": table.path.name, "size": found.st_size, "changed": found.st_mtime_ns}
    reading = [str(value) for value in (table.format, table.text, table.data)]
    reading.append(f"{keep_formulas=}")
    return {"format": _FORMAT, "model": model, **about, "reading": reading}


def _state(
    part: Path, state_file: Path, job: dict[str, Any], resume: bool
) -> tuple[dict[str, Any], Any]:
    """Returns what an earlier command has written and may be kept, and the sha256 object of it."""
    anew = f"Delete {part.name} to start anew."
    digest = hashlib.sha256()
    nothing = _so_far(0, 0, digest)
    if not part.stat().st_size:  # it was locked just now
        return nothing, digest
    if not state_file.is_file():
        raise UsageError(
            f"{part} exists, and no {state_file.name} says how to go on with it. Texts from "
            f"standard input, for example, cannot be resumed. Rename or delete it.",
            setting="out",
        )
    state = files.read_sealed_json(state_file, anew)
    if state.get("format") != _FORMAT:
        raise UsageError(
            f"{part} was begun by another version of sst_keras, and this one cannot go on with it. "
            f"{anew}",
            setting="resume",
        )
    check_fields(state, _STATE, str(state_file), anew)
    if not state["rows"]:
        return nothing, digest
    if not resume:
        raise UsageError(
            f"{part} holds {state['rows']:,} rows of a command that was stopped. Use --resume to "
            f"go on, or delete it.",
            setting="resume",
        )
    if different := [name for name in job if state.get(name) != job[name]]:
        raise UsageError(
            f"{part} was begun with another {different[0]}: {state.get(different[0])}. Expected "
            f"{job[different[0]]}. {anew}",
            setting="resume",
        )
    if part.stat().st_size < state["bytes"]:
        raise InputError(f"{part}: expected {state['bytes']:,} bytes. {anew}")
    left = state["bytes"]
    with part.open("rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK))):
            digest.update(chunk)
            left -= len(chunk)
    if digest.hexdigest() != state["content"]:
        raise InputError(f"{part}: it has changed since it was written. {anew}")
    return state, digest


def _so_far(rows: int, size: int, digest: Any) -> dict[str, Any]:
    return {"rows": rows, "bytes": size, "content": digest.hexdigest()}


def _padded(row: Sequence[Any], width: int) -> list[Any]:
    return [*row, *[""] * (width - len(row))][:width]


def _answer(answer: Answer, width: int) -> list[Any]:
    if answer.prediction is None:
        return [*[None] * (width - 1), answer.problem]
    found = answer.prediction
    probabilities = [round(value, 6) for value in found.probabilities.values()]
    highest = round(found.probabilities[found.class_name], 6)
    return [found.class_name, highest, *probabilities, None]


def _cell(value: Any) -> Any:
    """Returns a value of JSON as a cell: what CSV has no notation for stays JSON."""
    has_notation = value is None or (isinstance(value, str | int | float) and value is not True)
    is_plain = has_notation and value is not False
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def _disarmed(value: Any) -> Any:
    """Returns a cell of which no spreadsheet makes a formula: one that looks so gets `'`."""
    if not isinstance(value, str) or len(value) < 2 or not _FORMULA_LIKE.match(value):
        return value
    try:
        float(value.replace(",", "."))
    except ValueError:
        return f"'{value}"
    return value  # a number


@contextmanager
def row_writer(
    ending: str, file: TextIO, names: Sequence[str], has_head: bool, keep_formulas: bool
) -> Iterator[Callable[[Sequence[Any]], bool]]:
    """Yields a function that writes a row of values; None is an empty cell, or null in JSON.

    It returns whether a cell got an apostrophe, because it looked like a formula. The ending of the
    file says what is written: CSV, TSV or JSON Lines.
    """

    def write_json(row: Sequence[Any]) -> bool:
        written = dict(zip(names, row, strict=True))
        file.write(files.to_json(written) + "\n")
        return False

    if ending == ".jsonl":
        yield write_json
        return
    writer = csv.writer(file, delimiter="\t" if ending == ".tsv" else ",", lineterminator="\n")
    if not has_head:
        writer.writerow(names if keep_formulas else map(_disarmed, names))
    # A carriage return, which ends a line to some readers, is not quoted by itself.
    quoting = csv.writer(
        file, writer.dialect, delimiter=writer.dialect.delimiter, lineterminator="\n",
        quoting=csv.QUOTE_ALL,
    )  # fmt: skip

    def write(row: Sequence[Any]) -> bool:
        row = [_cell(value) for value in row]
        safe = row if keep_formulas else [_disarmed(value) for value in row]
        has_return = any(isinstance(value, str) and "\r" in value for value in row)
        (quoting if has_return else writer).writerow(safe)
        return safe != row

    yield write
