"""Predictions of many files in parts, with a model that counts letters."""

import csv
import errno
import hashlib
import json
import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.errors import InputError, UsageError
from sst_keras.serving import parts
from sst_keras.serving.parts import Job, predict_parts
from sst_keras.serving.prediction import Prediction
from sst_keras.settings import DataConfig
from sst_keras.tables import patterns

FINGERPRINT = hashlib.sha256(b"weights").hexdigest()


class Letters:
    """Says that a text is good if it has an even number of letters."""

    class_names = ("bad", "good")

    def predict(self, texts, explain=False):
        assert not explain
        labels = [int(len(text) % 2 == 0) for text in texts]
        return [
            Prediction(text, label, self.class_names[label], {"bad": 1.0 - label, "good": label})
            for text, label in zip(texts, labels, strict=True)
        ]


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Three files of 25, 10 and 1 rows, in parts of 10."""
    monkeypatch.setattr(parts.Predictor, "load", lambda folder: Letters())
    index = tmp_path / "model" / "variables" / "variables.index"
    index.parent.mkdir(parents=True)
    index.write_text("weights")
    folder, names = tmp_path / "in", ("a.csv", "b.jsonl", "c.txt")
    folder.mkdir()
    rows = ["id,text", *(f"{n},{'x' * (n % 7)}" for n in range(25))]
    (folder / "a.csv").write_text("\n".join(rows) + "\n")
    objects = [json.dumps({"text": "y" * n, "more": [n]}) for n in range(1, 11)]
    (folder / "b.jsonl").write_text("\n".join(objects) + "\n")
    (folder / "c.txt").write_text("one\n")
    files = tuple(folder / name for name in names)
    return Job(files, DataConfig(), tmp_path / "model", FINGERPRINT, tmp_path / "out", rows=10)


def written(job):
    return {path.name: path.read_bytes() for path in sorted(job.out.glob("part-*"))}


def test_every_row_is_in_one_part(job):
    done = predict_parts(job)
    assert (done.rows, done.parts, done.not_classified, done.problems) == (36, 5, 4, {})
    assert done.notes() == ["a.csv: 4 rows could not be classified (lines 2, 9, 16, 23)."]
    names = [f"part-00000-00000{n}.csv" for n in range(3)]
    assert list(written(job)) == [*names, "part-00001-000000.csv", "part-00002-000000.csv"]
    rows = [row for name in names for row in csv.DictReader((job.out / name).open())]
    assert [row["id"] for row in rows] == [str(n) for n in range(25)]
    assert rows[1]["predicted_class"] == "bad" and rows[2]["predicted_class"] == "good"
    assert rows[0]["prediction_problem"] == "the text is blank"
    (last,) = csv.DictReader((job.out / "part-00002-000000.csv").open())
    assert (last["text"], last["predicted_class"]) == ("one", "bad")
    log = [json.loads(line) for line in (job.out / "_parts.jsonl").read_text().splitlines()]
    assert all(len(line.pop("sha256")) == 64 for line in log)
    assert log[0]["format"] == 1 and log[-1] == {"complete": True, "rows": 36, "parts": 5}


@pytest.mark.parametrize("killed_after", range(1, 9))
def test_a_killed_job_goes_on(job, killed_after):
    predict_parts(job)
    whole = written(job)
    again, calls = replace(job, out=job.out.with_name("again")), []

    def kill(done):
        calls.append(done)
        if len(calls) == killed_after:
            raise KeyboardInterrupt

    if killed_after < 9 - 1:
        with pytest.raises(KeyboardInterrupt):
            predict_parts(again, progress=kill)
    else:
        predict_parts(again)
    before = {name: (again.out / name).stat().st_mtime_ns for name in written(again)}
    with (again.out / "_parts.jsonl").open("a") as log:
        log.write('{"file": 2, "numb')  # as a killed process leaves it
    done = predict_parts(again, resume=True)
    assert (done.rows, done.parts, done.not_classified) == (36, 5, 4)
    assert written(again) == whole
    kept = [name for name in before if (again.out / name).stat().st_mtime_ns == before[name]]
    assert len(kept) == len(before)  # nothing is predicted twice


def test_a_part_that_was_deleted_is_made_again(job):
    first = predict_parts(job)
    whole, log = written(job), (job.out / "_parts.jsonl").read_text()
    job.part(0, 1).unlink()
    again = predict_parts(job, resume=True)
    assert (again.rows, again.not_classified) == (36, 4) and again.notes() == first.notes()
    assert written(job) == whole
    assert sorted((job.out / "_parts.jsonl").read_text().splitlines()) == sorted(log.splitlines())


def test_a_part_that_lost_its_bytes_is_made_again(job):
    first, name = predict_parts(job), "part-00000-000001.csv"
    whole, log = written(job), job.out / "_parts.jsonl"
    job.part(0, 1).write_bytes(b"")  # as after a loss of power
    assert predict_parts(job, resume=True) == first and written(job) == whole
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        for field in ("bytes", "digest", "sha256"):
            line.pop(field, None)  # as an earlier version wrote it
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    job.part(0, 1).write_bytes(b"kept")
    assert predict_parts(job, resume=True).rows == 36 and written(job)[name] == b"kept"


def test_a_part_that_was_changed_is_made_again(job):
    first, whole = predict_parts(job), written(job)
    content = job.part(0, 1).read_bytes()
    job.part(0, 1).write_bytes(content.replace(b"bad", b"sad", 1))  # of the same size
    assert predict_parts(job, resume=True) == first and written(job) == whole


@pytest.mark.parametrize(
    "change",
    [
        {"counts": "x"}, {"counts": "[]"}, {"counts": '{"a": 1}'}, {"counts": '{"a": [1, ["b"]]}'},
        {"counts": 5}, {"counts": "[" * 10**5}, {"rows": 99}, {"rows": -1}, {"rows": 9.5},
        {"file": 3}, {"file": -1}, {"number": -2}, {"bytes": "1"}, {"digest": 1}, {"rows": 9},
    ],
    ids=lambda change: str(change)[:30],
)  # fmt: skip
@pytest.mark.parametrize("is_sealed", [True, False])
def test_a_line_of_the_log_that_was_changed_is_refused(job, change, is_sealed):
    predict_parts(job)
    log = job.out / "_parts.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[1]["number"] >= 0
    lines[1] |= change
    if not is_sealed:
        if change == {"rows": 9}:
            return  # as somebody could have written it
        del lines[1]["sha256"]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(InputError, match=r"_parts\.jsonl, line 2: .*Choose another folder, or"):
        predict_parts(job, resume=True)


def test_a_part_is_on_the_disk_before_it_appears(job, monkeypatch):
    sizes = []
    monkeypatch.setattr("os.fsync", lambda handle: sizes.append(os.fstat(handle).st_size))
    predict_parts(job)
    assert sizes[1:] == [len(content) for content in written(job).values()]  # after the log's


def test_a_column_that_is_not_there(job):
    data = DataConfig(text_column="review")
    done = predict_parts(replace(job, data=data, as_tables=True))
    assert done.rows == 0 and len(done.problems) == 3
    assert "expected column 'review'" in done.problems[str(job.files[0])]


def test_what_cannot_go_on(job):
    predict_parts(job)
    with pytest.raises(UsageError, match="Use --resume"):
        predict_parts(job)
    for other, what in (
        ({"rows": 5}, "with another --part-rows"), ({"fingerprint": "g"}, "with another model"),
        ({"ending": ".tsv"}, "with another --format"), ({"files": job.files[:1]}, "other files"),
        ({"data": DataConfig(markup="keep")}, "other options of how files are read"),
        ({"keep_formulas": True}, "another choice of --keep-formulas"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=what):
            predict_parts(replace(job, **other), resume=True)
    job.files[2].write_text("another\n")
    with pytest.raises(UsageError, match="other files"):
        predict_parts(job, resume=True)
    log = job.out / "_parts.jsonl"
    whole = log.read_text()
    for line, message in (
        ("not JSON", "expected a JSON object"), ("[1]", "a JSON object. Received: '\\[1\\]'"),
        ('{"file": 0}', "in number. Received: nothing"),
    ):  # fmt: skip
        log.write_text(f"{whole}{line}\n")
        with pytest.raises(InputError, match=f"_parts.jsonl.*{message}.*Choose another"):
            predict_parts(job, resume=True)
    log.write_bytes(whole.encode() + b"\xff\xfe\n")
    with pytest.raises(InputError, match="_parts.jsonl, line ..: expected a JSON object"):
        predict_parts(job, resume=True)


def test_labels_before_texts_are_left_out_of_the_parts(job):
    lines = [f"__label__{n % 2} a nice film {n}" for n in range(12)]
    job.files[2].write_text("\n".join(lines) + "\n")
    done = predict_parts(replace(job, as_tables=True))
    assert (done.rows, done.problems) == (47, {})
    (row, *_) = csv.DictReader(job.part(2, 1).open())
    assert row["text"] == "a nice film 10"


def test_parts_of_one_row(job):
    job.files[0].write_text('id,text\n1,"a" b,c\n' + "".join(f"{n},film\n" for n in range(9)))
    done = predict_parts(replace(job, rows=1))
    assert (done.rows, done.parts, done.problems) == (21, 21, {})


def test_a_part_that_a_node_has_written_elsewhere(job, monkeypatch):
    monkeypatch.setattr(parts, "_PATIENCE", 0)

    def flow(items, read, actor, arguments):
        yield {"file": 0, "number": 0, "rows": 10, "parts": 0, "counts": "{}", "problem": ""}

    with pytest.raises(InputError, match="part-00000-000000.csv is not here"):
        predict_parts(job, flow)


def test_a_node_with_another_model(job):
    with pytest.raises(UsageError, match="is another model than the command's.* Copy it there"):
        predict_parts(replace(job, fingerprint="f"))


def elsewhere(change):
    """Returns a flow to nodes that read what `change` leaves of the files."""

    def flow(items, read, actor, arguments):
        for number, item in enumerate(items):
            change(number)
            yield from map(actor(*arguments), read(item))

    return flow


def test_a_node_with_another_file(job):
    original, size = job.files[1].read_text(), job.files[1].stat().st_size

    def change(number):
        job.files[1].write_text(f"{original}\n" if number == 1 else original)
        os.utime(job.files[1], ns=(1, 1))  # as the command sees it, nothing has changed

    os.utime(job.files[1], ns=(1, 1))
    flow = elsewhere(change)

    def and_back(*args):
        for item in flow(*args):
            change(0)
            yield item

    done = predict_parts(job, and_back)
    assert done.rows == 26 and set(done.problems) == {str(job.files[1])}
    expected = f"has {size + 1:,} bytes of it, and the command has {size:,}. All nodes"
    assert expected in done.problems[str(job.files[1])]


def test_files_that_change_after_the_command_began(job):
    def change(number):
        if number == 1:
            with job.files[1].open("a") as file:
                file.write("\n")
        if number == 2:
            os.utime(job.files[2], ns=(1, 1))

    done = predict_parts(job, elsewhere(change))
    assert done.rows == 26 and set(done.problems) == {str(path) for path in job.files[1:]}
    for path in job.files[1:]:
        assert done.problems[str(path)].startswith(f"{path}: it changed after the command began")


def test_copies_with_times_of_their_own(job):
    begun = job.begun()
    for path in job.files:
        os.utime(path, ns=(1, 1))
    items = list(parts._Reader(begun)((2, set())))
    assert [item["number"] for item in items] == [0, -1] and not items[-1]["problem"]


def test_a_file_that_changes_while_it_is_read(job):
    reading = parts._Reader(job.begun())((0, set()))
    next(reading)
    os.utime(job.files[0], ns=(1, 1))
    *_, last = reading
    assert (last["number"], last["parts"]) == (-1, 0)
    assert last["problem"].startswith(f"{job.files[0]}: it changed after the command began")


def test_what_killed_commands_left_is_removed(job):
    job.out.mkdir()
    (job.out / "._parts.0123abcd.jsonl").write_text('{"form')  # killed at the log's first write
    left = job.out / ".part-00000-000001.0123abcd.csv"
    left.write_text("id,te")
    assert predict_parts(job, resume=True).rows == 36
    assert not [path.name for path in job.out.iterdir() if path.name.startswith(".")]
    left.write_text("id,te")
    predict_parts(job, resume=True)
    assert not left.exists()


def test_the_log_is_not_taken_for_texts(job):
    job = replace(job, ending=".jsonl")
    predict_parts(job)
    names = set(written(job))
    texts, others = patterns.files_in(job.out)
    assert {path.name for path in texts} == names and not others
    assert {path.name for path in patterns.matches(f"{job.out}/*.jsonl")} == names
    (job.out / "_mine.jsonl").write_text("")
    assert patterns.matches(f"{job.out}/_*.jsonl") == [job.out / "_mine.jsonl"]


def test_folders_that_are_something_else(job):
    job.out.mkdir()
    (job.out / "mine.txt").write_text("")
    with pytest.raises(UsageError, match="has files already"):
        predict_parts(job)
    (job.out / "parts.jsonl").write_text("")
    with pytest.raises(UsageError, match="has parts.jsonl: an earlier version of sst_keras began"):
        predict_parts(job, resume=True)
    with pytest.raises(UsageError, match="expected a folder. Received a file"):
        predict_parts(replace(job, out=job.files[0]))


def test_a_damaged_file_does_not_stop_the_others(job):
    job.files[1].write_bytes(b"PK\x03\x04" + bytes(100))
    taken = job.files[2].with_suffix(".csv")
    taken.write_text("text,predicted_class\na,b\n")
    job = replace(job, files=(*job.files, taken))
    done = predict_parts(job)
    assert (done.rows, done.parts) == (26, 4)
    assert set(done.problems) == {str(job.files[1]), str(taken)}
    assert "has a column 'predicted_class'" in done.problems[str(taken)]
    log = (job.out / "_parts.jsonl").read_text()
    assert "complete" not in log
    again = predict_parts(job, resume=True)
    assert (again.rows, set(again.problems)) == (26, set(done.problems))


def test_a_file_that_cannot_be_opened_does_not_stop_the_others(job, monkeypatch):
    def failing(self, file, opened=Job.open):
        if file == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(self, file)

    gone = job.files[0].with_name("gone.csv")
    gone.symlink_to("nowhere")
    job = replace(job, files=(*job.files, gone))
    monkeypatch.setattr(Job, "open", failing)
    for resume in (False, True):
        done = predict_parts(job, resume=resume)
        assert (done.rows, done.parts) == (26, 4)
        assert done.problems == {
            str(job.files[1]): f"{job.files[1]}: it cannot be read: Input/output error.",
            str(gone): f"{gone}: it cannot be read: No such file or directory.",
        }


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_columns_of_one_name_are_not_lost(job, ending):
    job.files[0].write_text("text,n,n\na,1,2\n")
    done = predict_parts(replace(job, ending=ending))
    problem = done.problems.get(str(job.files[0]), "")
    assert ("Received several columns 'n'" in problem) == (ending != ".csv")
    assert done.rows == (12 if ending == ".csv" else 11)


def test_a_header_that_looks_like_a_formula_is_counted_once(job):
    rows = ["=n,text", *(f"{n},good" for n in range(25))]
    job.files[0].write_text("\n".join(rows) + "\n")
    (note,) = predict_parts(job).notes()
    assert note.startswith("a.csv: 1 row had a cell that looks like a formula")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_the_forms_of_parts(job, ending):
    path = job.files[0].with_suffix(".parquet")
    columns = {"text": ["=1+x", None], "n": [1, 2], "at": [datetime(2020, 1, 1), None]}
    columns |= {"hash": [b"\xff\x00", b"text"], "list": [[1], [2, 3]]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    job = replace(job, files=(path,), ending=ending)
    done = predict_parts(job)
    made = job.part(0, 0)
    if ending == ".parquet":
        rows = pyarrow.parquet.read_table(made).to_pylist()
    elif ending == ".jsonl":
        rows = [json.loads(line) for line in made.read_text().splitlines()]
    else:
        delimiter = {".csv": ",", ".tsv": "\t"}[ending]
        rows = list(csv.DictReader(made.open(newline=""), delimiter=delimiter))
    is_text = ending in (".csv", ".tsv")
    assert rows[0]["text"] == ("'=1+x" if is_text else "=1+x")
    assert rows[0]["n"] == ("1" if is_text else 1) and rows[0]["predicted_class"] == "good"
    assert rows[1]["prediction_problem"] == "the text is blank"
    assert rows[0]["hash"] == "ff00" and rows[1]["hash"] == "text"
    assert rows[0]["at"] == "2020-01-01T00:00:00"
    assert rows[1]["list"] == ([2, 3] if ending == ".jsonl" else "[2, 3]")
    assert "a.parquet: 1 row could not be classified (row 2)." in done.notes()[0]


def test_the_command(job, monkeypatch, served_folder):
    monkeypatch.undo()
    monkeypatch.chdir(job.out.parent)
    command = ["predict", str(served_folder), "--out", "out", "--part-rows", "10", "--file"]
    result = CliRunner().invoke(main, [*command, "in"])
    assert result.exit_code == 0, result.output
    assert "36 rows with their predictions, in 5 parts" in result.stdout
    again = CliRunner().invoke(main, [*command, "in", "--resume", "--json"])
    assert json.loads(again.stdout)["rows"] == 36
    Path("below").mkdir()
    with monkeypatch.context() as patch:  # by another way to the same files
        patch.chdir("below")
        away = ["predict", str(served_folder), "--out", "../out", "--part-rows", "10", "--resume"]
        again = CliRunner().invoke(main, [*away, "--file", "../in"])
    assert again.exit_code == 0 and "36 rows" in again.stdout, again.output
    single = ["predict", str(served_folder), "--file", "in/a.csv", "--out", "a.csv"]
    assert CliRunner().invoke(main, single).exit_code == 0
    joined = [(Path("out") / f"part-00000-00000{n}.csv").read_text() for n in range(3)]
    lines = [line for one in joined for line in one.splitlines(keepends=True)[1:]]
    assert Path("a.csv").read_text().splitlines(keepends=True)[1:] == lines
    for options, message in (
        (["nowhere"], "no file or folder 'nowhere'"),
        (["in/a.csv", "--format", "csv", "--out", "x.csv"], "--format: expected --file, and --out"),
        (["in/*.x"], "no file or folder"),
        (["in", "--cpus", "2"], "--cpus: expected --engine ray"),
    ):
        wrong = CliRunner().invoke(main, [*command, *options])
        assert wrong.exit_code == 2 and message in wrong.stderr, wrong.output


def test_a_link_keeps_its_name(job, monkeypatch, served_folder):
    monkeypatch.undo()
    monkeypatch.chdir(job.out.parent)
    blobs = Path("blobs")
    blobs.mkdir()
    (blobs / "9af3c1").write_text("text\na film\nnot bad\n")  # a table by its name only
    for name in ("reviews.csv", "same.csv"):
        Path("in", name).symlink_to(Path("..") / blobs / "9af3c1")
    command = ["predict", str(served_folder), "--out", "out", "--file"]
    result = CliRunner().invoke(main, [*command, "in/[rs]*.csv"])
    assert result.exit_code == 0, result.output
    assert "2 rows with their predictions, in 1 part\n" in result.stdout
    rows = list(csv.DictReader(Path("out/part-00000-000000.csv").open()))
    assert [row["text"] for row in rows] == ["a film", "not bad"]
    Path("in/parts").symlink_to(Path("out").resolve())
    again = CliRunner().invoke(main, [*command, "in/parts/part*"])
    assert again.exit_code == 2 and "Received none" in again.stderr
