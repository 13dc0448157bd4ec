import re
import shutil
import threading
from pathlib import Path

import pytest

from sst_keras.classifier import Classifier
from sst_keras.config import load_pipeline
from sst_keras.errors import InputError, UsageError
from sst_keras.locks import locked
from sst_keras.runs import RunDirectory, find_runs, is_run, new_run, open_run

PIPELINE = load_pipeline("lstm", ["training.seed=7"])


def test_a_new_run_is_below_its_pipelines_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = new_run(PIPELINE), new_run(PIPELINE)
    assert first.path.parent.as_posix() == "saved_models/lstm"
    assert first.path.name.endswith("-seed7")
    assert first.path != second.path
    assert first.name == f"lstm/{first.path.name}"


def test_what_is_added_to_a_run_waits_for_others_that_add_but_not_for_a_training(
    run_copy, monkeypatch
):
    other = locked(run_copy.path)
    other.__enter__()
    waiting = threading.Timer(0.3, other.__exit__, (None, None, None))
    waiting.start()
    with run_copy.added_to():
        assert not waiting.is_alive() or waiting.finished.is_set()
    monkeypatch.setattr("sst_keras.runs._PATIENCE", 0.2)
    with locked(run_copy.path), pytest.raises(UsageError, match="another process"):
        run_copy.added_to().__enter__()
    monkeypatch.setattr("sst_keras.runs._PATIENCE", 1000)
    run = new_run(PIPELINE, run_copy.path, overwrite=True)
    with pytest.raises(KeyboardInterrupt), run.locked():
        run.begin()
        with pytest.raises(UsageError, match="another process"):
            run_copy.added_to().__enter__()
        raise KeyboardInterrupt


def test_nothing_is_added_to_a_run_that_was_trained_anew(run_copy):
    digests = run_copy.digests()
    with run_copy.added_to(digests):
        pass
    run_copy.history_file.write_text("another", "utf-8")
    run_copy.seal()
    with pytest.raises(UsageError, match="trained anew"):
        run_copy.added_to(digests).__enter__()
    with run_copy.added_to():
        pass


def test_a_finished_run_is_replaced_only_on_request(run_copy):
    with pytest.raises(UsageError, match="run_dir: .*overwrite"):
        new_run(PIPELINE, run_copy.path)
    run_copy.checkpoint_file.write_text("killed before it was removed")
    with pytest.raises(UsageError):
        new_run(PIPELINE, run_copy.path)
    assert not run_copy.checkpoint_file.exists()
    (run_copy.path / "mine.txt").write_text("kept")
    before = sorted(run_copy.path.iterdir())
    run = new_run(PIPELINE, run_copy.path, overwrite=True)
    assert sorted(run_copy.path.iterdir()) == before  # until it begins
    with run.locked():
        run.begin()
        assert sorted(path.name for path in run.path.iterdir()) == [".replaced", "mine.txt"]
        run.model_file.write_text("new")
        run.write_metrics({})
        shutil.rmtree(run.replaced_dir)


@pytest.mark.parametrize("moment", ["error", "killed", "killed as it set the run aside"])
def test_a_finished_run_comes_back(run_copy, moment):
    def content():
        return {
            path.relative_to(run_copy.path).as_posix(): path.read_bytes()
            for path in run_copy.path.rglob("*")
            if path.is_file()
        }

    before = content()
    run = new_run(PIPELINE, run_copy.path, overwrite=True)
    if moment == "error":
        with pytest.raises(KeyboardInterrupt), run.locked():
            run.begin()
            run.model_file.write_text("half")
            run.history_file.write_text("half")
            raise KeyboardInterrupt
    elif moment == "killed":
        run.begin()
        run.model_file.write_text("half")
    else:
        run.replaced_dir.mkdir()
        for path in (run.plots_dir, run.pipeline_file):
            if path.exists():
                path.rename(run.replaced_dir / path.name)
    if moment != "error":
        with pytest.raises(UsageError, match="holds a finished run"):
            with RunDirectory(run.path).locked():
                pass
    assert content() == before


def test_a_folder_with_a_pipeline_of_ones_own_is_no_run(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "mine.svg").write_text("mine")
    (tmp_path / "pipeline.toml").write_text(PIPELINE.to_toml())
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="run_dir: .* holds files but no run"):
            new_run(PIPELINE, tmp_path, overwrite)
    assert (tmp_path / "plots" / "mine.svg").read_text() == "mine"


@pytest.mark.parametrize(
    "names, is_run",
    [
        (["environment.json"], True), (["environment.json", "mine.txt"], False),
        (["environment.json", "language_model.json"], False),
        (["pipeline.toml"], True), (["pipeline.toml", "mine.txt"], False),
        (["pipeline.toml", "vocabulary.txt", "mine.txt"], True),
    ],
)  # fmt: skip
def test_a_run_that_was_killed_as_it_began_is_one(tmp_path, names, is_run):
    run = RunDirectory(tmp_path)
    for name in names:
        (tmp_path / name).write_text(PIPELINE.to_toml())
    assert run.is_begun == is_run
    if run.pipeline_file.is_file():
        run.pipeline_file.write_text('extends = "lstm"\n')
        assert run.is_begun == (is_run and len(names) > 1)


class Killed(BaseException):
    """Stands for a kill."""


@pytest.fixture
def whole(tmp_path):
    """A finished run whose files hold their names."""
    run = RunDirectory(tmp_path / "whole", replaces=True)
    made = (run.pipeline_file, run.model_file, run.vocabulary_file, run.metrics_file)
    run.plots_dir.mkdir(parents=True)
    for file in (*made, run.plots_dir / "a.png"):
        file.write_text(file.name)
    return run


def content(run):
    return {path: path.read_text() for path in run.path.rglob("*") if path.is_file()}


def kill_after(monkeypatch, renames, act):
    """Lets an act rename some files, then kills it. Returns whether it was killed."""
    left, rename = [None] * renames, Path.rename

    def counted(path, to):
        if not left:
            raise Killed
        left.pop()
        return rename(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted)
        try:
            act()
        except Killed:
            return True
    return False


def test_half_of_a_deleted_run_does_not_come_back(whole, monkeypatch):
    whole.replaced_dir.mkdir()  # left by a kill when the new run was finished
    for file in (whole.metrics_file, whole.model_file):
        (whole.replaced_dir / file.name).write_text("of the run before")
    before = content(whole)

    def remove(path, ignore_errors):
        if path.exists():
            (path / whole.metrics_file.name).unlink()
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("sst_keras.runs.shutil.rmtree", remove)
        whole.begin()
    whole.recover()
    after = {path: text for path, text in content(whole).items() if path in before}
    assert after == {path: text for path, text in before.items() if ".replaced" not in path.parts}


def test_a_run_whose_replacement_was_killed_at_once_is_found(whole):
    before = content(whole)
    whole.begin()
    with pytest.raises(UsageError, match="holds a finished run"):
        new_run(PIPELINE, whole.path)
    assert content(whole) == before
    whole.begin()
    assert new_run(PIPELINE, whole.path, overwrite=True).is_finished
    assert content(whole) == before
    whole.begin()
    during = content(whole)
    # Who only reads moves nothing: the training may be at work.
    assert not is_run(whole.path)
    with pytest.raises(UsageError, match="`sst-keras train --run-dir .*whole` brings it back"):
        RunDirectory.find(whole.path)
    with (
        locked(whole.path),
        pytest.raises(UsageError, match="another process"),
    ):
        new_run(PIPELINE, whole.path)
    assert content(whole) == during


def test_a_run_comes_back_however_often_that_is_interrupted(whole, monkeypatch):
    before = content(whole)
    for begun in range(7):
        if not kill_after(monkeypatch, begun, whole.begin):
            whole.model_file.write_text("half")
        for moved in range(7):
            if not kill_after(monkeypatch, moved, whole.recover):
                break
        assert content(whole) == before, begun
        assert not whole.replaced_dir.exists() and not whole.returning_dir.exists()


@pytest.mark.parametrize("name", ["saved_models", "saved_models/lstm"])
def test_a_link_to_nothing_is_no_folder_for_runs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).symlink_to("nowhere")
    with pytest.raises(UsageError, match=rf"run_dir: expected a folder .*'{name}'"):
        new_run(PIPELINE)


def test_an_unfinished_run_may_begin_again(run_copy):
    run_copy.metrics_file.unlink()
    run = new_run(PIPELINE, run_copy.path)
    run.begin()
    assert not any(run.path.iterdir())


def test_an_unfinished_run_with_a_checkpoint_is_left_to_go_on(run_copy):
    run_copy.metrics_file.unlink()
    run_copy.checkpoint_file.write_text("")
    (run_copy.path / ".checkpoint.0123abcd.npz").write_text("cut sh")
    before = sorted(run_copy.path.iterdir())
    run = new_run(PIPELINE, run_copy.path)
    run.begin(goes_on=True)
    assert sorted(run.path.iterdir()) == [path for path in before if path.name[0] != "."]
    new_run(PIPELINE, run_copy.path, overwrite=True).begin()
    assert not any(run.path.iterdir())


def test_a_finished_run_is_not_trained_into(run_copy, trained_run):
    run = RunDirectory(run_copy.path)
    with pytest.raises(UsageError, match="run_dir: .*finished run"):
        with run.locked():  # another process has finished it since
            raise AssertionError
    assert run.metrics_file.is_file()


def test_a_folder_with_other_files_is_not_a_run(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(UsageError, match="no run"):
        new_run(PIPELINE, tmp_path)
    with pytest.raises(UsageError, match="Received a file"):
        new_run(PIPELINE, tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").exists()


def test_opening(trained_run, run_copy, tmp_path):
    assert open_run(trained_run.path) == trained_run
    with pytest.raises(UsageError, match="no run '.*nowhere'"):
        open_run(tmp_path / "nowhere")
    run_copy.model_file.unlink()
    with pytest.raises(UsageError, match=r"has no model\.keras"):
        open_run(run_copy.path)
    (tmp_path / "saved_model.pb").write_text("")
    with pytest.raises(UsageError, match="exported SavedModel"):
        open_run(tmp_path)


def test_a_run_may_be_named_without_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = new_run(PIPELINE)
    assert RunDirectory.find(run.name) == run


def test_the_summary_of_a_run(trained_run, run_copy):
    summary = trained_run.summary()
    assert summary["finished"] and summary["dataset"] == "sample" and summary["seed"] == 1
    assert summary["test"]["n"] == 250 and 0 <= summary["test"]["accuracy"] <= 1
    run_copy.metrics_file.unlink()
    assert run_copy.summary()["finished"] is False
    shutil.copytree(run_copy.path, run_copy.path.parent / ".hidden" / "run")
    assert [run.path for run in find_runs(run_copy.path.parent)] == [run_copy.path]


def test_damaged_training_texts_of_a_run_without_checksums(run_copy):
    assert not run_copy.checksums_file.exists()
    content = run_copy.training_texts_file.read_bytes()
    run_copy.training_texts_file.write_bytes(content.replace(b"}", b" ", 1))
    with pytest.raises(InputError, match=r"training_texts\.npy: expected .* Delete it\."):
        run_copy.training_texts()


@pytest.mark.parametrize("name", ["vocabulary.txt", "pipeline.toml", "model.keras"])
def test_a_file_that_has_changed_since_training_is_refused(trained_run, tmp_path, name):
    run = RunDirectory(Path(shutil.copytree(trained_run.path, tmp_path / "run")))
    run.verify()
    lines = (run.path / name).read_bytes().splitlines(keepends=True)
    lines[3], lines[4] = lines[4], lines[3]
    (run.path / name).write_bytes(b"".join(lines))
    with pytest.raises(InputError, match=rf"{re.escape(name)}: it has changed .*checksums\.json"):
        Classifier.load(run)
    (run.path / name).unlink()
    with pytest.raises(InputError, match=rf"{re.escape(name)}: it is missing"):
        run.verify()
    run.checksums_file.write_text('{"format": 2}', "utf-8")
    with pytest.raises(InputError, match="checksums in format 1"):
        run.verify()
