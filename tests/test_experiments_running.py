import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from sst_keras.config import with_setting
from sst_keras.errors import UsageError
from sst_keras.experiments import running as reproduction
from sst_keras.experiments.records import RecordsFile, read_records
from sst_keras.experiments.running import (
    check_sources,
    pending_jobs,
    recorded_settings,
    reproduce,
    run_job,
    seconds_left,
)
from sst_keras.experiments.sweep import load_sweep

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
b = { training.learning_rate = 0.01 }
broken = { training.epochs = 1, training.optimizer = "sgd", training.learning_rate = 1e38 }
[variants.checked]
rows = ["a"]
seeds = 1
training.checks_per_epoch = 2
"""


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "own.toml").write_text(SWEEP, "utf-8")
    return load_sweep(tmp_path / "own.toml")


def record(job, seconds=1.0, epochs=2, **more):
    experiment, seed = job
    return {
        "pipeline": experiment.row,
        "variant": experiment.variant,
        "seed": seed,
        "settings": recorded_settings(experiment),
        "seconds": seconds,
        "epochs": epochs,
    } | more


def test_what_has_no_record_is_pending(sweep):
    jobs = sweep.select(["a", "b"])  # a 1, b 1, a 2, b 2
    assert pending_jobs(jobs, []) == jobs
    done = [record(jobs[0]), record(jobs[3])]
    assert pending_jobs(jobs, done) == jobs[1:3]
    # A failed run is a run; a variant of the same row and seed is another one.
    failed = {key: value for key, value in record(jobs[1]).items() if key != "epochs"}
    variant = record(sweep.select(variants=["checked"])[0])
    assert pending_jobs(jobs, [failed | {"error": "x"}, variant]) == [jobs[0], *jobs[2:]]


def test_records_of_other_settings_are_not_mixed_in(sweep):
    jobs = sweep.select(["a"])
    other = record(jobs[0])
    other["settings"] = other["settings"] | {"model.units": 8}
    with pytest.raises(UsageError, match=r"own/a, seed 1, with other settings \(model.units\)"):
        pending_jobs(jobs, [other])


def test_the_time_that_is_left(sweep):
    a1, b1, _, a2, b2, broken2 = sweep.select()
    assert seconds_left([a1], [], 1) is None
    # a took 10 s for 2 epochs, b 30 s for 3: an epoch takes 8 s in all.
    done = [record(a1, 10.0, 2), record(b1, 30.0, 3), record(b2, 0.0, error="x")]
    assert seconds_left([a2], done, 1) == 10
    assert seconds_left([a2, b2], done, 2) == 20
    assert seconds_left([a2, broken2], done, 1) == 10 + 8  # one epoch of what was not run yet


def test_a_record_tells_all(sweep, tmp_path):
    ((experiment, seed),) = sweep.select(variants=["checked"])
    found = run_job(experiment, seed, tmp_path / "run")
    assert found["pipeline"] == "own/a" and found["tag"] == "a" and found["variant"] == "checked"
    assert found["seed"] == 1 and found["epochs"] == 2 and found["vectors"] == ["none"]
    assert found["settings"]["training.checks_per_epoch"] == 2
    assert found["history"]["epoch"] == [1, 2]
    assert found["dev"] == pytest.approx(found["history"]["dev_accuracy"][-1])
    assert found["dev_at_best"] == pytest.approx(max(found["history"]["dev_accuracy"]))
    matrix = found["confusion_matrix"]
    hits = sum(matrix[place][place] for place in range(5))
    assert found["test"] == pytest.approx(hits / sum(map(sum, matrix)))
    assert found["checks"]["epoch"][-1] == 2
    assert {"test_at_best_dev", "commit", "versions", "seconds"} <= set(found)
    assert str(tmp_path) not in json.dumps(found)


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
def test_of_a_path_the_last_part_is_kept(message, kept):
    assert reproduction._without_paths(message) == kept


def test_sources_that_are_missing_are_told_once(sweep, tmp_path, offline):
    jobs = sweep.select()
    check_sources(jobs)  # the sample, and no vectors
    for setting, message in (
        (("data", "dataset", str(tmp_path / "gone.csv")), "gone.csv"),
        (("data", "dataset", "sst5"), "SST-5 cannot be had"),
        (("embedding", "vectors", "gone"), "no vectors 'gone'"),
    ):
        pipeline = with_setting(jobs[0][0].pipeline, *setting)
        with pytest.raises(UsageError, match=message):
            check_sources([(replace(jobs[0][0], pipeline=pipeline), 1)])


def test_failures_are_recorded_without_paths(sweep, tmp_path):
    experiment, _ = sweep.select(["broken"])[0]
    found = run_job(experiment, 1, tmp_path / "run")
    assert "TrainingDiverged" in found["error"] and "test" not in found
    (tmp_path / "file").write_text("")
    found = run_job(experiment, 1, tmp_path / "file")
    assert "'file'" in found["error"] and str(tmp_path) not in found["error"]


def test_a_sweep_in_two_processes_goes_on_where_it_was(sweep, tmp_path):
    jobs = sweep.select(["a", "broken"], seeds=1) + sweep.select(variants=["checked"])
    with RecordsFile(tmp_path / "x.jsonl") as file:
        first = list(reproduce(jobs[:2], file, processes=2))
        assert {found["tag"]: "error" in found for found in first} == {"a": False, "broken": True}
        (second,) = reproduce(jobs, file, processes=2)  # of the three, two are done
        assert list(reproduce(jobs, file)) == []
    assert read_records(tmp_path / "x.jsonl") == [*first, second]
    # Scoring dev more often changes no figure.
    plain = next(found for found in first if found["tag"] == "a")
    assert second["variant"] == "checked" and second["test"] == plain["test"]
    assert second["history"] == plain["history"]
    assert (second["jobs"], plain["jobs"]) == (2, 2) and plain["cores"] >= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.toml", "x.jsonl"]


def end_this_process():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_a_failed_run(sweep, tmp_path):
    with RecordsFile(tmp_path / "x.jsonl") as file:
        found = list(reproduce(sweep.select(["a"]), file, prepare=end_this_process))
    assert [record["seed"] for record in found] == [1, 2]
    assert all("ended with code -9" in record["error"] for record in found)


def children_of(process):
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def test_killed_and_started_again(sweep, tmp_path):
    """Every run once, with an undisturbed sweep's figures; and no process is left behind."""
    command = [sys.executable, "-m", "sst_keras", "reproduce", str(tmp_path / "own.toml")]
    command += ["--rows", "[ab]", "--jobs", "1"]
    killed, whole = tmp_path / "killed.jsonl", tmp_path / "whole.jsonl"
    process = subprocess.Popen([*command, "--records", str(killed)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not (killed.exists() and killed.read_bytes()) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = children_of(process.pid)
    process.kill()
    process.wait()
    with killed.open("ab") as file:
        file.write(b'{"pipeline": "own/b", "va')  # as a kill within a write leaves it
    for child in children:
        while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not os.path.exists(f"/proc/{child}")
    assert 1 <= len(read_records(killed)) < 4

    for path in (killed, whole):
        done = subprocess.run([*command, "--records", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def figures(path):
        timeless = ("seconds", "ended")
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return sorted(
            json.dumps({key: value for key, value in line.items() if key not in timeless})
            for line in lines
        )

    assert figures(killed) == figures(whole)
    assert len(figures(killed)) == 4
    assert not re.search(rf"{tmp_path}", killed.read_text("utf-8"))
