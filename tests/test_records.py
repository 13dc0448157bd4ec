import pytest

from sst_keras.errors import InputError, UsageError
from sst_keras.records import RecordsFile, read_records


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "x.jsonl"


def test_records_are_added_and_read_again(path):
    with RecordsFile(path) as file:
        file.append({"a": 1, "name": "é"})
        assert read_records(path) == [{"a": 1, "name": "é"}]  # on the disk at once
        file.append({"a": 2})
    with RecordsFile(path) as file:
        assert file.records == [{"a": 1, "name": "é"}, {"a": 2}]
        file.append({"a": 3})
    assert [record["a"] for record in read_records(path)] == [1, 2, 3]


@pytest.mark.parametrize("torn", [b'{"a": 2', b'{"a": 2}', b'{"n": "\xc3', b"\x00\x00"])
def test_a_line_without_its_end_is_no_record_and_is_taken_away(path, torn):
    path.parent.mkdir()
    path.write_bytes(b'{"a": 1}\n' + torn)
    assert read_records(path) == [{"a": 1}]
    with RecordsFile(path) as file:
        assert file.records == [{"a": 1}]
        file.append({"a": 3})
    assert path.read_bytes() == b'{"a": 1}\n{"a": 3}\n'


def test_a_file_torn_in_its_first_line(path):
    path.parent.mkdir()
    path.write_bytes(b'{"a"')
    with RecordsFile(path) as file:
        assert file.records == []
    assert path.read_bytes() == b""


def test_records_can_be_left_out(path):
    with RecordsFile(path) as file:
        for number in range(3):
            file.append({"a": number})
        file.keep(record for record in file.records if record["a"] != 1)
        assert file.records == [{"a": 0}, {"a": 2}]
        file.append({"a": 4})
    assert [record["a"] for record in read_records(path)] == [0, 2, 4]


@pytest.mark.parametrize("line", [b"not json", b"[1]", b"\xff"])
def test_a_whole_line_that_is_no_record(path, line):
    path.parent.mkdir()
    path.write_bytes(b'{"a": 1}\n' + line + b"\n")
    for read in (read_records, lambda path: RecordsFile(path).__enter__()):
        with pytest.raises(InputError, match=r"x\.jsonl, line 2: expected a record"):
            read(path)
    assert path.read_bytes().startswith(b'{"a": 1}\n' + line)  # nothing is lost


def test_one_writer_at_a_time(path):
    with RecordsFile(path), pytest.raises(UsageError, match="another sweep"):
        RecordsFile(path).__enter__()
    with RecordsFile(path):
        pass


def test_no_file(path):
    with pytest.raises(InputError, match="expected a file of records"):
        read_records(path)
