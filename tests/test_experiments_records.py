import json

import pytest

from sst_keras.errors import InputError, UsageError
from sst_keras.experiments.records import RecordsFile, read_records, read_runs


def run(number, **more):
    """A failed run's record: the shortest there is."""
    head = {"pipeline": "x/a", "tag": "a", "variant": None, "seed": number, "settings": {}}
    return head | {"seconds": 1.5, "error": "é"} | more


def line(record):
    return json.dumps(record).encode() + b"\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results" / "x.jsonl"


def test_records_are_added_and_read_again(path):
    with RecordsFile(path) as file:
        file.append(run(1))
        assert read_runs(path) == [run(1)]  # on the disk at once
        file.append(run(2))
    with RecordsFile(path) as file:
        assert file.records == [run(1), run(2)]
        file.append(run(3))
    assert read_runs(path) == read_records(path) == [run(1), run(2), run(3)]


@pytest.mark.parametrize("torn", [b'{"a": 2', b'{"a": 2}', b'{"n": "\xc3', b"\x00\x00"])
def test_a_line_without_its_end_is_no_record_and_is_taken_away(path, torn):
    path.parent.mkdir()
    path.write_bytes(line(run(1)) + torn)
    assert read_runs(path) == [run(1)]
    with RecordsFile(path) as file:
        assert file.records == [run(1)]
        file.append(run(3))
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == [run(1), run(3)]


def test_a_file_torn_in_its_first_line(path):
    path.parent.mkdir()
    path.write_bytes(b'{"a"')
    with RecordsFile(path) as file:
        assert file.records == []
    assert path.read_bytes() == b""


def test_records_can_be_left_out(path):
    with RecordsFile(path) as file:
        for number in range(3):
            file.append(run(number))
        file.keep(record for record in file.records if record["seed"] != 1)
        assert file.records == [run(0), run(2)]
        file.append(run(4))
    assert read_runs(path) == [run(0), run(2), run(4)]


@pytest.mark.parametrize("wrong", [b"not json", b"[1]", b"\xff"])
def test_a_whole_line_that_is_no_record(path, wrong):
    path.parent.mkdir()
    path.write_bytes(line(run(1)) + wrong + b"\n")
    for read in (read_records, lambda path: RecordsFile(path).__enter__()):
        with pytest.raises(InputError, match=r"x\.jsonl, line 2: expected a record"):
            read(path)
    assert path.read_bytes() == line(run(1)) + wrong + b"\n"  # nothing is lost


def test_a_record_of_something_else(path):
    path.parent.mkdir()
    finished = {key: value for key, value in run(2).items() if key != "error"}
    for record, missing in (({}, "pipeline, tag, variant, seed"), (finished, "epochs, best_epoch")):
        path.write_bytes(line(run(1)) + line(record))
        assert len(read_records(path)) == 2
        for read in (read_runs, lambda path: RecordsFile(path).__enter__()):
            with pytest.raises(InputError, match=f"record 2: expected .* Missing: {missing}"):
                read(path)


def test_one_writer_at_a_time(path):
    with RecordsFile(path), pytest.raises(UsageError, match="another sweep"):
        RecordsFile(path).__enter__()
    with RecordsFile(path):
        pass


def test_no_file(path):
    with pytest.raises(InputError, match="expected a file of records"):
        read_records(path)
