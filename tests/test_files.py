import errno
import json
import os
import re
import subprocess
import sys
from pathlib import PurePosixPath

import numpy as np
import pytest

from sst_keras import files
from sst_keras.errors import InputError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a" / "x.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_partial_file_has_the_same_ending(tmp_path):
    with files.whole_file(tmp_path / "model.keras") as partial:
        assert partial.suffix == ".keras" and partial.parent == tmp_path
        partial.write_text("")


def test_json_both_ways(tmp_path):
    files.write_json(tmp_path / "x.json", {"é": [1, None]})
    assert files.read_json(tmp_path / "x.json") == {"é": [1, None]}
    assert json.loads((tmp_path / "x.json").read_text("utf-8")) == {"é": [1, None]}


@pytest.mark.parametrize("kind", [float, np.float64, np.float32])
def test_numbers_that_json_lacks_are_null(kind):
    values = [kind(number) for number in ("nan", "inf", "-inf", "1.5")]
    assert files.to_json(values) == "[null, null, null, 1.5]"
    nested = {"a": ({"b": values[:2]}, 0), "c": kind("inf")}
    assert files.to_json(nested) == '{"a": [{"b": [null, null]}, 0], "c": null}'


def test_numpy_arrays_are_lists_and_paths_are_text():
    value = {"matrix": np.array([[1, 2]]), "n": np.int64(3), "nan": np.array([np.nan])}
    assert files.to_json(value) == '{"matrix": [[1, 2]], "n": 3, "nan": [null]}'
    assert files.to_json({"path": PurePosixPath("a/b"), "yes": np.bool_(True)}) == (
        '{"path": "a/b", "yes": true}'
    )


def test_files_that_are_not_json(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(InputError, match=r"x\.json"):
        files.read_json(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"y\.json"):
        files.read_json(tmp_path / "y.json")


def test_a_folder_appears_whole(tmp_path):
    with pytest.raises(ValueError), files.whole_folder(tmp_path / "a" / "b") as partial:
        (partial / "file").write_text("x")
        raise ValueError
    assert list((tmp_path / "a").iterdir()) == []
    with files.whole_folder(tmp_path / "a" / "b") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "a" / "b").exists()
        with files.whole_folder(tmp_path / "a" / "b") as other:  # of another process
            (other / "file").write_text("y")
    assert (tmp_path / "a" / "b" / "file").read_text() == "y"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_an_error_of_the_disk_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught:
        with files.whole_file(tmp_path / "a.txt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_a_full_disk_is_named_whoever_met_it(tmp_path):
    for problem in (
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("100000 requested and 496 written"),  # of NumPy
        RuntimeError("ResourceExhaustedError: x.tfrecord; No space left on device"),  # of TFDS
    ):
        with pytest.raises(OSError) as caught, files.whole_file(tmp_path / "x.txt") as partial:
            partial.write_text("half")
            raise problem
        assert caught.value.filename == str(tmp_path / "x.txt")
        assert "bytes are free, and 4 were written" in caught.value.strerror
        assert not list(tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="other"), files.named_errors(tmp_path):
        raise RuntimeError("other")


def test_a_folder_is_replaced_or_stays(tmp_path, monkeypatch):
    def folder(name, content):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(content)
        return tmp_path / name

    old, new = folder("old", "1"), folder("new", "2")
    files.replace_folder(new, old)
    assert (old / "x").read_text() == "2" and [each.name for each in tmp_path.iterdir()] == ["old"]
    with pytest.raises(FileNotFoundError):
        files.replace_folder(tmp_path / "missing", old)
    assert (old / "x").read_text() == "2" and [each.name for each in tmp_path.iterdir()] == ["old"]


def test_a_damaged_array(tmp_path):
    path = tmp_path / "x.npy"
    files.write_array(path, np.arange(3))
    assert files.read_array(path, memory_map=True).tolist() == [0, 1, 2]
    whole = path.read_bytes()
    for damage in (b"", whole[:-1], whole.replace(b"}", b" "), whole.replace(b"{", b"_(")):
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"x\.npy: expected an array of numbers"):
            files.read_array(path)


@pytest.mark.parametrize("moment", [1, 2])  # of the two renames
def test_a_folder_comes_back_if_its_replacement_is_killed(tmp_path, moment):
    folder = tmp_path / "model[1]"
    files.write_text(folder / "x", "old")
    code = f"""
import os
from pathlib import Path
from sst_keras import files
rename, calls = Path.rename, []
def killed(*paths):
    calls.append(paths)
    if len(calls) == {moment}:
        os._exit(9)
    return rename(*paths)
Path.rename = killed
with files.replacing_folder({str(folder)!r}) as partial:
    (partial / "x").write_text("new")
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 9
    assert folder.exists() == (moment == 1)
    files.bring_back(folder)
    assert (folder / "x").read_text() == "old"
    for path in (left := list(tmp_path.glob(".*"))):
        for each in (path, *path.iterdir()):
            os.utime(each, (1, 1))
    assert len(left) == 1  # the new one
    with files.replacing_folder(folder) as partial:
        (partial / "x").write_text("newer")
    assert (folder / "x").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["model[1]"]


def test_only_what_this_package_left_is_removed_beside_a_folder(tmp_path):
    names = {".m.backup", ".m.0123456", ".m.0123456x", ".m.old", ".temporary-mine"}
    left = {".m.01234567", ".m.89abcdef.old"}
    for name in names | left:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "m").mkdir()
    with files.replacing_folder(tmp_path / "m"), files.temporary_folder(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == names | {"m"}


def test_sealed_json(tmp_path):
    value = {"a": [1.5, float("nan"), "é\x9b"], "b": {"1": None}}
    files.write_sealed_json(tmp_path / "x.json", value)
    plain = {"a": [1.5, None, "é\x9b"], "b": {"1": None}}
    assert files.read_sealed_json(tmp_path / "x.json") == plain
    text = (tmp_path / "x.json").read_text("utf-8")
    (tmp_path / "x.json").write_text(text.replace("1.5", "1.25"), "utf-8")
    with pytest.raises(InputError, match=r"x\.json: it has changed since it was written"):
        files.read_sealed_json(tmp_path / "x.json")
    files.write_json(tmp_path / "x.json", plain)  # as earlier versions wrote it
    assert files.read_sealed_json(tmp_path / "x.json") == plain


def test_sealed_lines(tmp_path):
    path, rows = tmp_path / "x.jsonl", [{"a": 1.5, "b": ["é\n"]}, {"a": float("inf")}, {}]
    assert files.read_sealed_lines(path, "") == []
    lines = [files.sealed_line(row) for row in rows]
    path.write_text("".join(lines) + '{"a": 1.5', "utf-8")  # as a killed process leaves it
    assert files.read_sealed_lines(path, "") == rows
    path.write_text('{"a": 1.5}\n', "utf-8")  # as earlier versions wrote it
    assert files.read_sealed_lines(path, "") == [{"a": 1.5}]
    for line, message in (
        (lines[0].replace("1.5", "1.25"), "it has changed since it was written"),
        (lines[0].replace('"b"', '"c"'), "it has changed since it was written"),
        ("[1]\n", "expected a JSON object"), ("{\n", "expected a JSON object"), ("\n", "expected"),
    ):  # fmt: skip
        path.write_text("".join([*lines, line]), "utf-8")
        with pytest.raises(InputError, match=rf"x\.jsonl, line 4: {message}.* Do this\."):
            files.read_sealed_lines(path, "Do this.")


@pytest.mark.parametrize("value", [f"{'[' * 500}{']' * 500}", r'"\ud800"', "1e999"])
def test_sealed_json_that_nobody_could_have_written(tmp_path, value):
    (tmp_path / "x.json").write_text(f'{{"x": {value}, "sha256": "0"}}', "utf-8")
    with pytest.raises(InputError, match=r"x\.json: (it has changed|expected a JSON file)"):
        files.read_sealed_json(tmp_path / "x.json")


def test_checksums_that_nobody_could_have_written(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "run"
    for file in (outside, folder / "a", folder / "b"):
        files.write_text(file, file.name)
    path = folder / "checksums.json"
    files.write_checksums(path, folder, ["a", "b"])
    files.verify_checksums(path, folder, ["a"])
    with pytest.raises(InputError, match=r"checksums\.json: expected checksums. It has none of c"):
        files.verify_checksums(path, folder, ["a", "c"])
    for name in (str(outside), "../outside", "x/../../outside"):
        files.write_json(path, {"format": 1, "sha256": {"a": files.sha256(folder / "a"), name: ""}})
        with pytest.raises(InputError, match=rf"within .*run. Received: {re.escape(repr(name))}"):
            files.verify_checksums(path, folder, ["a"])
    for given in ({}, {"format": 1, "sha256": {}}):
        files.write_json(path, given)
        with pytest.raises(InputError, match=r"checksums\.json: expected checksums"):
            files.verify_checksums(path, folder, ["a"])


def test_what_cannot_be_cached_is_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with files.optional_cache(tmp_path):
        files.write_text(tmp_path / "file" / "x.txt", "a")
    assert "is not kept for the next time" in caplog.text


def test_what_killed_processes_left_goes_after_a_day(tmp_path):
    for name in ("incomplete.old", "incomplete.new", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("half")
        if name != "incomplete.new":
            for path in (tmp_path / name / "x", tmp_path / name):
                os.utime(path, (1, 1))
    files.remove_abandoned(tmp_path, "incomplete.*")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["incomplete.new", "other"]
    files.remove_abandoned(tmp_path / "missing", "*")
