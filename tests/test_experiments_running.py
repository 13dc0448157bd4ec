import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from sst_keras import training
from sst_keras.cli import main
from sst_keras.config import with_settings
from sst_keras.corpora import load_corpus
from sst_keras.engines import local
from sst_keras.errors import InputError, UsageError
from sst_keras.experiments import running
from sst_keras.experiments.records import (
    RunRecord,
    Scores,
    read_records,
    recorded_settings,
    write_record,
)
from sst_keras.experiments.running import (
    check_data,
    check_sources,
    pending_jobs,
    run_job,
    run_sweep,
    seconds_left,
)
from sst_keras.experiments.sweep import load_sweep
from sst_keras.history import History

SWEEP = """
pipeline = "mlp"
seeds = 2
[base]
data.dataset = "sample"
embedding.vectors = ["none"]
embedding.dim = 4
model.units = 4
training.epochs = 2
[rows]
a = {}
b = { training.learning_rate = 0.01, training.checks_per_epoch = 2 }
broken = { training.epochs = 1, training.optimizer = "sgd", training.learning_rate = 1e38 }
[variants.checked]
rows = ["a"]
seeds = 1
dev_checks = 2
"""


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "own.toml").write_text(SWEEP, "utf-8")
    return load_sweep(tmp_path / "own.toml")


def record(job, seconds=1.0, epochs=2, **more):
    experiment, seed = job
    settings = recorded_settings(experiment.pipeline)
    return RunRecord(experiment.key(seed), settings, seconds, "", 1, 1, epochs=epochs, **more)


def by_key(*records):
    return {record.key: record for record in records}


# === Which runs are missing ===


def test_what_has_no_record_is_pending(sweep):
    jobs = sweep.select(["a", "b"])  # a 1, b 1, a 2, b 2
    assert pending_jobs(jobs, {}) == jobs
    assert pending_jobs(jobs, by_key(record(jobs[0]), record(jobs[3]))) == jobs[1:3]
    # A variant of the same row and seed is another run.
    (variant,) = sweep.select(variants=["checked"])
    assert pending_jobs(jobs, by_key(record(variant))) == jobs


def test_a_failed_run_is_pending_when_it_is_retried(sweep):
    jobs = sweep.select(["a"])
    records = by_key(record(jobs[0], error="x"), record(jobs[1]))
    assert pending_jobs(jobs, records) == []
    assert pending_jobs(jobs, records, retry=True) == jobs[:1]


def test_records_of_other_settings_are_refused(sweep):
    jobs = sweep.select(["a"])
    other = record(jobs[0])
    other = replace(other, settings=other.settings | {"model.units": 8, "training.seed": 9})
    message = "the record of own/a, seed 1 has other settings: model.units is 8, not 4. Choose"
    with pytest.raises(UsageError, match=message):
        pending_jobs(jobs, by_key(other))
    assert pending_jobs(jobs[1:], by_key(other)) == jobs[1:]


@pytest.mark.parametrize("recorded", ["tensorflow", "jax", "torch"])
@pytest.mark.parametrize("present", ["tensorflow", "jax", "torch"])
def test_records_of_another_backend_are_refused(sweep, monkeypatch, recorded, present):
    monkeypatch.setattr(running, "check_backend", lambda: present)
    jobs = sweep.select(["a"])
    versions = {"tensorflow": "2", "keras": "3", recorded: "1"}
    done = [record(job, versions=versions) for job in jobs]
    failed = record(jobs[1], error="x")  # which has no versions
    assert pending_jobs(jobs, by_key(*done)) == []
    if recorded == present:
        assert pending_jobs(jobs, by_key(done[0], failed)) == []
        assert pending_jobs(jobs, by_key(done[0], failed), retry=True) == jobs[1:]
        return
    message = f"own/a, seed 1 was computed by {recorded}, .* by {present}. Set KERAS_BACKEND="
    with pytest.raises(UsageError, match=message + recorded):
        pending_jobs(jobs, by_key(done[0]))


def test_records_of_several_backends_are_refused(sweep):
    jobs = sweep.select(["a", "b"])
    versions = {"tensorflow": "2", "keras": "3"}
    done = [
        record(job, versions=found)
        for job, found in zip(jobs, (versions, versions | {"torch": "2"}), strict=False)
    ]
    with pytest.raises(UsageError, match="computed by tensorflow and by torch. Choose another"):
        pending_jobs(jobs, by_key(*done))


def test_data_that_have_changed_since_the_records_are_refused(sweep, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"film {n},{label}" for n in range(20) for label in ("bad", "good")]
    Path("reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    first, second, *_ = (
        (item.changed((), ["data.dataset=reviews.csv"]), seed) for item, seed in sweep.select(["a"])
    )
    other = (second[0].changed((), ["data.split_seed=2", "data.min_count=1"]), 2)
    print_of = load_corpus(first[0].pipeline.data).fingerprint()
    known = by_key(record(first, data_fingerprint=print_of))
    check_data([second, other], known)
    Path("reviews.csv").write_text("\n".join(["text,label", *rows, "new,good"]) + "\n")
    check_data([other], known)  # it reads the file in another way
    check_data([second], by_key(record(first)))  # an early version's
    less = (second[0].changed((), ["data.min_count=1"]), 2)
    for job in (second, less):
        with pytest.raises(UsageError, match="reviews.csv has changed since the record of own/a"):
            check_data([job], known)
    auto, seed = sweep.select(["a"])[0]
    auto = (auto.changed((), ["data.dataset=auto"]), seed)
    assert load_corpus(auto[0].pipeline.data).name in ("sample", "sst5")
    name = load_corpus(auto[0].pipeline.data).name
    found = record((auto[0].changed((), [f"data.dataset={name}"]), seed), data_fingerprint="0")
    with pytest.raises(UsageError, match=f"{name} has changed since"):
        check_data([auto], by_key(found))


def test_a_sweep_does_not_go_on_with_data_that_have_changed(
    tmp_path, monkeypatch, trained, in_this_process
):
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(
        SWEEP.replace('"sample"', '"r.csv"').replace("seeds = 2", "seeds = 1")
    )
    rows = [f"film {n},{label}" for n in range(20) for label in ("bad", "good")]
    Path("r.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    first = CliRunner().invoke(main, ["reproduce", "s.toml", "--rows", "a"])
    assert first.exit_code == 0, first.output
    result = CliRunner().invoke(main, ["reproduce", "s.toml"])
    assert result.exit_code == 2 and "r.csv has changed since the record" in result.stderr, (
        result.output
    )


def test_records_of_another_sweep_are_not_overwritten(sweep):
    jobs = sweep.select(["a"])
    found = record(jobs[0])
    found = replace(found, key=found.key._replace(sweep="other"))
    with pytest.raises(UsageError, match="records: expected records of the sweep own.*of other"):
        pending_jobs(jobs, by_key(found))


def test_the_time_that_is_left(sweep):
    a1, b1, _, a2, b2, broken2 = sweep.select()
    assert seconds_left([a1], [], 1) is None
    assert seconds_left([a1], [record(a1, error="x")], 1) is None
    # a took 10 s for 2 epochs and b took 30 s for 3: an epoch takes 8 s on average.
    done = [record(a1, 10.0, 2), record(b1, 30.0, 3), record(b2, 0.0, error="x")]
    assert seconds_left([a2], done, 1) == 10
    assert seconds_left([a2, b2], done, 2) == 20
    assert seconds_left([a2, broken2], done, 1) == 10 + 8  # one epoch of a row without a record


def test_missing_sources_are_one_error(sweep, tmp_path, offline):
    jobs = sweep.select()
    check_sources(jobs)  # the sample, and no vectors
    for settings, message in (
        ({"data.dataset": str(tmp_path / "gone.csv")}, "no file or folder .*gone.csv"),
        ({"data.dataset": "sst5"}, "SST-5"),
        ({"embedding.vectors": "gone"}, "no vectors 'gone'"),
        ({"model.init": "gone"}, "no run or language model 'gone'"),
    ):
        pipeline = with_settings(jobs[0][0].pipeline, settings, "test")
        with pytest.raises(InputError, match=message):
            check_sources([(replace(jobs[0][0], pipeline=pipeline), 1)])


# === Running them ===


@pytest.fixture
def trained(monkeypatch):
    """Replaces training by a function that returns fixed scores, and lists its calls."""
    calls = []

    def train(pipeline, run, data_dir=None, callbacks=(), dev_checks=1):
        calls.append((pipeline.name, pipeline.training.seed, data_dir, dev_checks))
        assert run.path.is_dir()
        run.begin(goes_on=not run.replaces)
        if pipeline.name == "own/broken":
            raise ValueError(f"{run.path}/x.csv: no")
        environment = {"git_commit": "c", "versions": {"keras": "3"}, "data_fingerprint": "f"}
        environment["language_model"] = {"name": "films", "fingerprint": "lm"}
        rows = tuple(
            {"epoch": epoch, "loss": 1.0, "accuracy": 0.5, "dev_loss": 2.0, "dev_accuracy": 0.1}
            | {"seconds": 1.0}
            for epoch in (1, 2, 3)
        )

        def scores(dev, test, matrix, ordered):
            return {
                name: SimpleNamespace(
                    metrics=SimpleNamespace(
                        accuracy=accuracy, confusion_matrix=matrix, polarity_accuracy=0.875
                    ),
                    class_names=("bad", "good"),
                    ordered=ordered,
                )
                for name, accuracy in (("dev", dev), ("test", test))
            }

        return SimpleNamespace(
            run=SimpleNamespace(environment=lambda: environment),
            pipeline=with_settings(pipeline, {"data.labels": ["bad", "good"]}, "test"),
            history=History(rows),
            best_epoch=2,
            best=scores(0.75, 0.5, [[1, 0], [1, 0]], ordered=True),
            last=scores(0.5, 0.25, [[1, 2], [1, 0]], ordered=False),
            checks=({"epoch": 0.5, "dev_loss": 1.5, "dev_accuracy": 0.2},) * (dev_checks - 1),
            seconds=4.0,
            notes=(),
        )

    monkeypatch.setattr(training, "train", train)
    return calls


@pytest.fixture
def in_this_process(monkeypatch):
    """Replaces the engine by a loop in this process."""

    def run(self, jobs, work):
        for job in jobs:
            try:
                result = work(job)
            except Exception as error:
                result = local.JobError(f"{type(error).__name__}: {error}", 1.5)
            yield job, result

    monkeypatch.setattr(local.Machine, "run", run)


@pytest.mark.slow
def test_the_record_of_a_run(sweep, tmp_path, trained):
    ((experiment, seed),) = sweep.select(variants=["checked"])
    found = run_job((experiment, seed), tmp_path, "data", processes=3)
    assert trained == [("own/a/checked", 1, "data", 2)]
    assert found.key == experiment.key(1) and found.error is None
    assert found.settings == recorded_settings(experiment.pipeline)
    assert found.last == Scores(3, 0.5, 0.25, [[1, 2], [1, 0]], None)
    assert found.best == Scores(2, 0.75, 0.5, [[1, 0], [1, 0]], 0.875)
    assert (found.epochs, found.seconds) == (3, 4.0)
    assert (found.jobs, found.cores) == (3, local.cores())
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]  # the run's files are gone
    assert found.class_names == ("bad", "good") and found.ended.endswith("+00:00")
    assert found.checks == {"epoch": [0.5], "dev_loss": [1.5], "dev_accuracy": [0.2]}
    assert set(found.history) == {"epoch", "loss", "accuracy", "dev_loss", "dev_accuracy"}
    assert found.history["epoch"] == [1, 2, 3]
    assert found.learned_from == {"language_model": "lm"}
    assert pending_jobs([(experiment, seed)], by_key(found)) == []


@pytest.mark.slow
def test_runs_can_be_kept(sweep, tmp_path, trained):
    ((experiment, seed),) = sweep.select(variants=["checked"])
    keep, expected = tmp_path / "runs", tmp_path / "runs" / "checked" / "a-seed1"
    for left, is_kept in (
        ("x.txt", True), ("checkpoint.npz", True), ("metrics.json", False),
    ):  # fmt: skip
        expected.mkdir(parents=True, exist_ok=True)
        for name in ("environment.json", "pipeline.toml", left):
            (expected / name).write_text("")
        assert run_job((experiment, seed), tmp_path, keep=keep).error is None
        assert (expected / left).exists() == is_kept  # a finished run without a record runs again
    assert len(trained) == 3


@pytest.mark.slow
def test_each_record_is_written_before_it_is_returned(sweep, tmp_path, trained, in_this_process):
    folder = tmp_path / "records"
    jobs = sweep.select(["a", "broken"])
    for number, found in enumerate(run_sweep(jobs, folder, local.Machine(9)), 1):
        assert read_records(folder)[found.key] == found
        assert len(read_records(folder)) == number
        assert found.jobs == 4  # no more runs at a time than there are
    records = read_records(folder)
    assert [key.row for key in records] == ["a", "a", "broken", "broken"]
    assert pending_jobs(jobs, records) == []
    failed = records[jobs[1][0].key(2)]
    assert failed.error == "ValueError: x.csv: no" and failed.seconds == 1.5
    assert failed.settings["training.seed"] == 2 and failed.last is None
    assert not [path for path in folder.iterdir() if path.is_dir()]  # only records
    assert (
        list(run_sweep([], tmp_path / "none", local.Machine(1))) == []
        and not (tmp_path / "none").exists()
    )


def test_a_sweep_that_is_left_early_leaves_no_files(sweep, tmp_path, trained, in_this_process):
    results = run_sweep(sweep.select(["a"]), tmp_path / "records", local.Machine(1))
    next(results)
    results.close()
    assert [path.name for path in (tmp_path / "records").iterdir()] == ["a-seed1.json"]


def test_a_node_with_another_version_stops_the_sweep(sweep, tmp_path, monkeypatch, in_this_process):
    # What the command gives to other machines checks their version.
    work = running.elsewhere(lambda job: None)
    monkeypatch.setattr(running.metadata, "version", lambda name: "9.9")
    with pytest.raises(UsageError, match="has sst_keras 9.9, and the command has") as caught:
        work(None)

    def fail(*args, **options):
        raise caught.value

    monkeypatch.setattr(running, "run_job", fail)
    with pytest.raises(InputError, match="own/a, seed 1 stopped: .* Install the same version"):
        list(run_sweep(sweep.select(["a"]), tmp_path, local.Machine(1)))
    assert not read_records(tmp_path)


def test_a_record_is_replaced(sweep, tmp_path, trained, in_this_process):
    jobs = sweep.select(["a"], seeds=1)
    write_record(tmp_path / "x", record(jobs[0], error="x"))
    (found,) = run_sweep(jobs, tmp_path / "x", local.Machine(1))
    assert read_records(tmp_path / "x") == by_key(found) and found.error is None


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("/home/me/data/a.txt: no such file", "a.txt: no such file"),
        ("in none of /home/me/x/data and ~/c/sst_keras", "in none of data and sst_keras"),
        (
            "'/a/b/c.txt', https://nlp.example.org/a/b.zip",
            "'c.txt', https://nlp.example.org/a/b.zip",
        ),
        ("1/2 and data/sample/train.txt", "1/2 and data/sample/train.txt"),
    ],
)
def test_errors_name_no_folders_of_this_machine(message, kept):
    assert running._without_paths(message) == kept


# === With real training, in processes ===


@pytest.mark.slow
def test_a_sweep_in_two_processes(sweep, tmp_path):
    jobs = sweep.select(["a", "broken"], seeds=1) + sweep.select(variants=["checked"])
    list(run_sweep(jobs, tmp_path / "x", local.Machine(2)))
    plain, broken, checked = (read_records(tmp_path / "x")[item.key(1)] for item, _ in jobs)
    assert broken.error.startswith("TrainingDiverged: ") and str(tmp_path) not in broken.error
    # Scoring dev more often changes no score.
    assert checked.history == plain.history and checked.best == plain.best
    assert checked.checks["epoch"][-1] == 2 and plain.checks is None
    assert plain.last.dev == pytest.approx(plain.history["dev_accuracy"][-1])
    assert plain.best.dev == pytest.approx(max(plain.history["dev_accuracy"]))
    hits = sum(plain.last.confusion_matrix[place][place] for place in range(5))
    assert plain.last.test == pytest.approx(hits / sum(map(sum, plain.last.confusion_matrix)))
    assert (plain.jobs, broken.jobs) == (2, 2) and plain.cores >= 1
    assert str(tmp_path) not in plain.key.file(tmp_path / "x").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.toml", "x"]


def children_of(process):
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.slow
def test_killed_and_started_again(sweep, tmp_path):
    """A killed sweep leaves no processes, and then has the scores of an undisturbed one."""
    command = [sys.executable, "-m", "sst_keras", "reproduce", str(tmp_path / "own.toml")]
    command += ["--rows", "a", "--jobs", "1"]
    killed, complete = tmp_path / "killed", tmp_path / "complete"
    process = subprocess.Popen([*command, "--records", str(killed)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not list(killed.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = children_of(process.pid)
    process.kill()
    process.wait()
    for child in children:
        while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not os.path.exists(f"/proc/{child}")
    first = read_records(killed)
    assert len(first) == 1

    for folder in (killed, complete):
        done = subprocess.run([*command, "--records", str(folder)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def scores(folder):
        return {
            key: json.dumps(record.to_dict() | {"seconds": 0, "ended": ""})
            for key, record in read_records(folder).items()
        }

    assert scores(killed) == scores(complete) and len(scores(killed)) == 2
    assert all(read_records(killed)[key] == record for key, record in first.items())
