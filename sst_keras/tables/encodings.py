"""Bytes → text: the encoding of a file, found from its bytes, and its lines."""

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sst_keras.errors import InputError, UsageError
from sst_keras.packed import GZIP, open_gzip

_CHUNK = 1 << 20  # bytes
_LONGEST_LINE = 1 << 28  # characters; some write JSON on one line
# From the first byte that is not UTF-8 to the line's end: once in each line with such bytes.
_BAD_LINE = re.compile("[\udc80-\udcff][^\\n]*")
_MARKS = (  # a longer mark first: UTF-32 begins like UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NAMES = {
    "utf-8": "UTF-8", "utf-8-sig": "UTF-8 with a byte order mark", "utf-16": "UTF-16",
    "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32", "cp1252": "windows-1252",
}  # fmt: skip
# Encodings of other scripts, which letters' frequencies tell apart.
_OTHER_SCRIPTS = frozenset(
    "cp1251 koi8_r iso8859_5 cp866 mac_cyrillic cp1253 iso8859_7 cp1255 iso8859_8 cp1256 "
    "iso8859_6 gb18030 gb2312 gbk big5 big5hkscs shift_jis cp932 euc_jp euc_kr cp949 johab "
    "tis_620 cp874".split()
)
# What the first bytes of a file say that is no text.
_OTHERS = (
    (b"PK\x03\x04", "a zip file or an Excel workbook", "Unpack it, or save the sheet as CSV."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV."),
    (b"PAR1", "a Parquet file", "Write it as CSV, for example with pandas."),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "Unpack it."),
    (b"BZh", "a bzip2 file", "Unpack it."),
    (b"\xfd7zXZ", "an xz file", "Unpack it."),
    (b"SQLite format 3", "an SQLite database", "Write the table as CSV."),
    (b"%PDF", "a PDF", "Copy its text into a CSV file."),
    (b"ARROW1", "an Arrow file", "Write it as CSV, for example with pandas."),
)


class Encoding(NamedTuple):
    """How the bytes of a file are read.

    Attributes:
        codec: Python's name of the encoding.
        packed: Whether the file is compressed by gzip.
        newline: What ends a line: a line feed, or a carriage return in a file without line feeds.
        errors: What Python does with bytes that are not of the encoding: `strict`, or
            `surrogateescape`, which turns each into half of a surrogate pair.
    """

    codec: str
    packed: bool
    newline: str
    errors: str = "strict"

    def __str__(self) -> str:
        name = _NAMES.get(self.codec, self.codec)
        return f"{name}, gzip" if self.packed else name


def find_encoding(path: Path, given: str = "auto", lenient: bool = False) -> Encoding:
    """Finds how a file's bytes are read: by its mark, as UTF-8, or else by its bytes' frequencies.

    If `lenient`, a file that is UTF-8 but for a few bytes can be read: `Encoding.errors`.

    Raises:
        UsageError: If Python does not know the encoding `given`.
        InputError: If the file is not text, is damaged, or is not in the encoding `given`.
    """
    with path.open("rb") as file:
        first = file.read(16)
    packed = first.startswith(GZIP)
    for mark, kind, advice in _OTHERS:
        if first.startswith(mark):
            raise InputError(f"{path}: expected text. Received {kind}. {advice}")
    try:
        with _open(path, packed) as file:
            start = file.read(_CHUNK)
        codec = codecs.lookup(given).name if given != "auto" else None
        codec = codec or _codec(path, packed, start, lenient)
        newline = "\n" if "\n" in start.decode(codec, "replace") else "\r"
    except LookupError:
        message = f"expected an encoding that Python knows, such as cp1252. Received: {given!r}"
        raise UsageError(message, setting="data.encoding") from None
    errors = "surrogateescape" if lenient and codec in ("utf-8", "utf-8-sig") else "strict"
    return Encoding(codec, packed, newline, errors)


def count_lines(path: Path, encoding: Encoding) -> int:
    """Returns how many lines a file has, which takes a second per gigabyte; roughly in UTF-16."""
    newline, count = encoding.newline.encode(), 0
    with _open(path, encoding.packed) as file:
        while chunk := file.read(_CHUNK):
            count += chunk.count(newline)
    return count + 1


def read_lines(path: Path, encoding: Encoding) -> Iterator[str]:
    """Yields the lines of a file with their ends. Only the encoding's `newline` ends a line.

    Raises:
        InputError: If the file is not in this encoding, its compression is damaged, or a line does
            not end.
    """
    try:
        with (
            _open(path, encoding.packed) as raw,
            io.TextIOWrapper(raw, encoding.codec, encoding.errors, encoding.newline) as file,
        ):
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE and not line.endswith(encoding.newline):
                    raise InputError(
                        f"{path}: expected lines of less than {_LONGEST_LINE:,} characters. "
                        f"Received a longer one. Write each text or object on a line of its own."
                    )
                yield line
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding.codec, "replace")[-30:]
        raise InputError(
            f"{path}: expected {encoding}. Received the byte {error.object[error.start]:#04x} "
            f"({error.reason}) after {before!r}.",
            setting="data.encoding",
        ) from None
    except UnicodeError as error:  # such as UTF-16 without its mark
        message = f"{path}: expected {encoding}, but it cannot be read as that ({error})."
        raise InputError(message, setting="data.encoding") from None


def _open(path: Path, packed: bool) -> BinaryIO:
    return open_gzip(path) if packed else path.open("rb", buffering=_CHUNK)


def _codec(path: Path, packed: bool, start: bytes, lenient: bool) -> str:
    for mark, codec in _MARKS:
        if start.startswith(mark):
            return codec
    for codec, zeros in (("utf-16-le", start[1:200:2]), ("utf-16-be", start[:200:2])):
        if len(zeros) > 2 and zeros.count(0) > 0.8 * len(zeros):  # Latin letters without a mark
            return codec
    decoder = codecs.getincrementaldecoder("utf-8")()
    with _open(path, packed) as file:
        while chunk := file.read(_CHUNK):
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return (
                    _lenient_codec(path, packed, chunk) if lenient else _legacy_codec(chunk, path)
                )
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:  # The file ends within a character.
        return _lenient_codec(path, packed, start) if lenient else _legacy_codec(start, path)
    return "utf-8"


def _lenient_codec(path: Path, packed: bool, sample: bytes) -> str:
    """Returns the encoding of a file that is not UTF-8 throughout, some of whose bytes may be bad.

    It is UTF-8 if most of its characters beyond ASCII are, or if the `sample` around the first bad
    byte is of no other encoding and most lines have none. Else: `InputError`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    good = bad = bad_lines = lines = 0
    with _open(path, packed) as file:
        while chunk := file.read(_CHUNK):
            text = decoder.decode(chunk)
            whole = text.encode("utf-8", "ignore").decode("utf-8")  # without the bad bytes
            bad += len(text) - len(whole)
            bad_lines += len(_BAD_LINE.findall(text))
            lines += text.count("\n")
            good += len(whole) - len(whole.encode("ascii", "ignore"))
    if good > 2 * bad:
        return "utf-8"
    try:
        return _legacy_codec(sample, path)
    except InputError:
        if 2 * bad_lines > lines:
            raise
        return "utf-8"


def _legacy_codec(sample: bytes, path: Path) -> str:
    """Returns the encoding of bytes that are not UTF-8: windows-1252, unless others are likelier.

    A few accents and quotation marks among English are too little to tell windows-1252 from its
    relatives by frequencies, and it is by far the most common one.
    """
    from charset_normalizer import from_bytes

    decoded = sample.decode("utf-8", "replace")
    wrong = decoded.count("\ufffd")
    if sum(not character.isascii() for character in decoded) > 2 * wrong:
        place = next(number for number, character in enumerate(decoded) if character == "\ufffd")
        byte = sample[len(decoded[:place].encode("utf-8"))]
        raise InputError(
            f"{path}: expected UTF-8, as most of it is. Received the byte {byte:#04x} after "
            f"{decoded[:place][-30:]!r}. Correct the file, or name its encoding.",
            setting="data.encoding",
        )
    best = None if b"\0" in sample else from_bytes(sample).best()
    if best is not None and best.encoding in _OTHER_SCRIPTS:
        return best.encoding
    if sample.translate(None, b"\0\x81\x8d\x8f\x90\x9d") != sample:  # not in windows-1252
        raise InputError(
            f"{path}: expected text. Its bytes are not UTF-8 and no other common encoding. Save it "
            f"as UTF-8, or name its encoding.",
            setting="data.encoding",
        )
    return "cp1252"
