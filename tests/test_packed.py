"""Files that unpack to gigabytes are refused before they fill the memory."""

import gzip
import json
import subprocess
import sys
import zipfile

import pytest

from sst_keras import packed
from sst_keras.errors import InputError
from sst_keras.packed import check_zip, open_gzip
from sst_keras.settings import DataConfig
from sst_keras.tables import encodings
from sst_keras.tables.encodings import find_encoding, read_lines
from sst_keras.tables.reading import open_table
from sst_keras.vectors.files import read_vectors


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(packed, "_HARMLESS", 10_000)


@pytest.mark.parametrize("line", [b"a", b"1,a\n", b"\n", b'{"text": "a"}\n', b"film 1 2\n"])
def test_a_bomb_is_refused(tmp_path, small_limits, line):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(line * 3_000_000, 9))
    with pytest.raises(InputError, match=r"bomb\.csv\.gz: it unpacks to more than 100 times"):
        open_table(path, DataConfig(), with_label=False)
    path = tmp_path / "bomb.txt.gz"
    path.write_bytes(gzip.compress(line * 3_000_000, 9))
    with pytest.raises(InputError, match=r"bomb\.txt\.gz"):
        read_vectors(path)


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
def test_a_bomb_in_a_zip_is_refused(tmp_path, small_limits, name):
    content = b"film 1 2\n" * 1_000_000
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr(name, gzip.compress(content, 9) if name.endswith("gz") else content)
    with pytest.raises(InputError, match=r"b\.zip: it unpacks"):
        read_vectors(tmp_path / "b.zip")
    if name == "x.txt":
        with pytest.raises(InputError, match=r"b\.zip: it unpacks"):
            check_zip(tmp_path / "b.zip")


def test_what_packs_well_is_read(tmp_path, small_limits):
    content = b"".join(b"word%d %d 2\n" % (n, n) for n in range(3000))
    (tmp_path / "v.txt.gz").write_bytes(gzip.compress(content, 9))
    assert len(read_vectors(tmp_path / "v.txt.gz").words) == 3000
    with open_gzip(tmp_path / "v.txt.gz") as file:
        assert file.read() == content


def test_a_line_without_an_end(tmp_path, monkeypatch):
    monkeypatch.setattr(encodings, "_LONGEST_LINE", 1000)
    path = tmp_path / "x.txt"
    for content, lines in ((f"{'a' * 998}\nb", 2), (f"{'a' * 999}\nb", 2), ("b", 1)):
        path.write_text(content, "utf-8")
        assert len(list(read_lines(path, find_encoding(path)))) == lines
    path.write_text("a" * 1000, "utf-8")
    with pytest.raises(InputError, match=r"x\.txt: expected lines of less than 1,000 characters"):
        list(read_lines(path, find_encoding(path)))


@pytest.mark.slow
def test_the_memory_that_a_bomb_takes(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", 9) as file:
        for _ in range(300):
            file.write(b"a" * 2**21)  # 600 MB on one line
    code = f"""
import json, resource
from pathlib import Path
from sst_keras.errors import InputError
from sst_keras.settings import DataConfig
from sst_keras.tables.reading import open_table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    open_table(Path({str(path)!r}), DataConfig(), with_label=False)
except InputError as error:
    print(json.dumps([str(error), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    message, grown = json.loads(done.stdout)
    assert "100 times" in message
    assert grown < 500 * 1024  # KiB
