"""Jobs on a Ray cluster of three nodes, which are processes of this machine."""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_keras.cli import main
from sst_keras.engines import ray as engine
from sst_keras.engines.local import JobError
from sst_keras.engines.ray import NoRoom, connected
from sst_keras.errors import InputError

os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # as `connected` does before it imports Ray
ray = pytest.importorskip("ray", reason="Ray is not installed")
from ray.cluster_utils import Cluster  # noqa: E402

# The nodes cannot import this file.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """A cluster whose head has no cores for jobs, and two nodes that have one each."""
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    # As machines do, each node has a folder of its own. In a common one, a node would delete the
    # working directory that another one's jobs are in.
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for folder in (first, second):
            started.add_node(num_cpus=1, temp_dir=folder)
        yield started
        started.shutdown()


def double(number):
    return 2 * number


def fail_or_die(what):
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raise":
        raise ValueError("no")
    return what


def where_and_when(path):
    """Notes its process and node, and takes some seconds."""
    path.write_text(f"{os.getpid()} {ray.get_runtime_context().get_node_id()}")
    time.sleep(6)
    return os.getpid()


def what_it_finds(name):
    return (
        Path(name).read_text(),
        os.environ["SST_KERAS_DATA"],
        os.environ["TF_NUM_INTRAOP_THREADS"],
        os.environ["MALLOC_ARENA_MAX"],
        os.environ["KERAS_BACKEND"],
    )


def read_one(item):
    yield {"number": item}


def read_slowly(seconds):
    time.sleep(seconds)
    yield {"number": seconds}


class Failing:
    def __init__(self, at_start):
        if at_start:
            raise ValueError("no start")

    def __call__(self, row):
        raise ValueError("no row")


def test_each_job_with_its_result(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "check_backend", lambda: "jax")
    monkeypatch.setattr(engine, "_PATIENCE", 0)
    (tmp_path / "x.txt").write_text("shipped")
    with connected(cluster.address, 1, 0, tmp_path, {"SST_KERAS_DATA": "data"}) as found:
        assert (found.nodes, found.slots) == (3, 2)
        assert dict(found.run(range(4), double)) == {0: 0, 1: 2, 2: 4, 3: 6}
        assert list(found.run([], double)) == []
        results = dict(found.run(["die", "fine", "raise"], fail_or_die))
        assert results["fine"] == "fine" and str(results["raise"]) == "ValueError: no"
        assert isinstance(results["die"], JobError) and "died" in str(results["die"])
        assert list(found.run(["x.txt"], what_it_finds)) == [
            ("x.txt", ("shipped", "data", "1", "2", "jax"))
        ]
        for at_start, reason in ((False, "ValueError: no row"), (True, "ValueError: no start")):
            with pytest.raises(InputError, match=f"the cluster stopped: {reason}$"):
                list(found.flow([1], read_one, Failing, (at_start,)))
        monkeypatch.setattr(ray, "nodes", list)  # all are lost
        with pytest.raises(InputError, match="has lost its nodes: .* Start a node"):
            list(found.run([60], time.sleep))
        with pytest.raises(InputError, match="has lost its nodes: .* Start a node"):
            list(found.flow([60], read_slowly, Failing, (False,)))


def test_rows_are_awaited(monkeypatch):
    monkeypatch.setattr(engine, "_POLL_SECONDS", 0.05)
    made, goes_on = [], threading.Event()

    def rows():
        yield {"number": 1}
        goes_on.wait(60)
        for number in range(2, 100):
            made.append(number)
            yield {"number": number}

    found = engine._awaited(rows)
    assert next(found) == {"number": 1} and next(found) is None and next(found) is None
    goes_on.set()
    assert next(row for row in found if row) == {"number": 2}
    found.close()
    time.sleep(0.3)
    assert len(made) < 10  # what is left unread is not made

    def failing():
        yield {"number": 1}
        raise ValueError("no row")

    with pytest.raises(ValueError, match="no row"):
        list(engine._awaited(failing))

    def ended():
        yield {"number": 1}
        sys.exit()

    with pytest.raises(InputError, match="its connection ended"):
        list(engine._awaited(ended))
    assert [row for row in engine._awaited(lambda: iter([{"number": 1}])) if row] == [{"number": 1}]


def test_a_job_whose_node_dies_starts_again(cluster, tmp_path):
    paths = [tmp_path / str(number) for number in range(3)]
    lost, before = cluster.add_node(num_cpus=1), {}

    def lose_a_node():
        while not all(path.is_file() and path.read_text() for path in paths):
            time.sleep(0.1)
        before.update((path, path.read_text()) for path in paths)
        cluster.remove_node(lost, allow_graceful=False)

    loss = threading.Thread(target=lose_a_node, daemon=True)
    loss.start()
    with connected(cluster.address) as found:
        ended = dict(found.run(paths, where_and_when))
    loss.join(10)
    assert len([path for path in paths if path.read_text() != before[path]]) == 1
    assert {path: str(pid) for path, pid in ended.items()} == {
        path: path.read_text().split()[0] for path in paths
    }


def test_shares_of_gpus(monkeypatch):
    nodes = [{"CPU": 16.0, "GPU": 1.0}, {"CPU": 2.0, "GPU": 2.0}, {"CPU": 8.0}]
    monkeypatch.setattr(engine, "_nodes", lambda ray: nodes)
    shares = ((0, 26), (1, 3), (0.5, 4), (0.2, 7), (0.1, 12), (0.3, 5), (2, 1))
    for gpus, slots in shares:
        assert engine._slots(None, 1, gpus) == slots


def test_more_than_a_node_has(cluster):
    with pytest.raises(NoRoom, match="no node has 9 cores"), connected(cluster.address, 9):
        pass


def test_predictions_in_parts(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        rows = [f"{n},A {'good' if n % 3 else 'dull'} film." for n in range(30)]
        Path(f"{name}.csv").write_text("\n".join(["id,text", *rows]) + "\n")
    command = ["predict", "--file", "?.csv", "--part-rows", "8", "--out"]
    on_ray = ["--engine", "ray", "--address", cluster.address]
    for options in (["local"], ["ray", *on_ray]):
        result = CliRunner().invoke(main, [*command, *options])
        assert result.exit_code == 0, result.output
        assert "60 rows with their predictions, in 8 parts" in result.stdout
    parts = sorted(Path("local").glob("part-*"))
    assert len(parts) == 8
    for path in parts:
        assert (Path("ray") / path.name).read_bytes() == path.read_bytes()
    Path("ray", parts[3].name).unlink()
    again = CliRunner().invoke(main, [*command, "ray", "--resume"])  # without the cluster
    assert again.exit_code == 0 and "60 rows" in again.stdout
    assert Path("ray", parts[3].name).read_bytes() == parts[3].read_bytes()


SWEEP = """
description = "Tiny."
pipeline = "mlp"
seeds = 2
[base]
data.dataset = "reviews.csv"
embedding.vectors = ["mine.txt"]
training.epochs = 1
model.units = 4
[rows]
a = {}
"""


def test_a_sweep_has_the_records_of_the_local_engine(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sweep.toml").write_text(SWEEP)
    rows = [
        f"{word} film {n},{label}" for n in range(20) for label, word in enumerate(("bad", "good"))
    ]
    Path("reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    Path("mine.txt").write_text("film 1 2\nbad -1 0\ngood 1 0\n")
    on_ray = ["--engine", "ray", "--address", cluster.address]
    for name, options in (("local", []), ("ray", on_ray)):
        command = ["reproduce", "sweep.toml", "--records", name, "--jobs", "2", *options]
        command = [word for word in command if name == "local" or word not in ("--jobs", "2")]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
    for file in ("a-seed1.json", "a-seed2.json"):
        local, remote = (json.loads(Path(name, file).read_text()) for name in ("local", "ray"))
        for record in (local, remote):
            for name in ("seconds", "ended", "jobs", "cores"):
                del record[name]
        assert local == remote and local["last"]["dev"] >= 0


def test_a_machine_that_has_not_joined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text("text\na film\n")
    message = "No node info found matching attributes: 'node_ip_address=10.0.0.2' when trying"

    def init(**options):
        raise RuntimeError(message)

    monkeypatch.setattr(ray, "init", init)
    command = ["predict", "small", "--file", "in.csv", "--out", "out", "--engine", "ray"]
    command += ["--address", "10.0.0.1:6379"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1 and "there is no Ray cluster" not in result.stderr
    assert "no node of the cluster at 10.0.0.1:6379" in result.stderr
    assert "`ray start --address=10.0.0.1:6379`" in result.stderr
    message = "version mismatch"
    result = CliRunner().invoke(main, command)
    assert "there is no Ray cluster at 10.0.0.1:6379 to connect to: version" in result.stderr


def test_usage_errors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sweep.toml").write_text(SWEEP.replace('"reviews.csv"', '"sample"'))
    for options, message in (
        (["--address", "auto"], "--address: expected --engine ray"),
        (["--engine", "ray", "--jobs", "2"], "--jobs: expected --engine local"),
        (["--engine", "ray", "--keep", "x"], "--keep: expected --engine local"),
    ):
        result = CliRunner().invoke(main, ["reproduce", "sweep.toml", *options])
        assert result.exit_code == 2 and message in result.stderr, result.output
