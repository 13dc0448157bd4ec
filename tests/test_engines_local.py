import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from sst_keras.engines import local


def double(number):
    return 2 * number


def fail_or_die(what):
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "exit":
        sys.exit(3)
    if what == "raise":
        raise ValueError("no")
    return threading.Lock() if what == "unpicklable" else what


def its_cores(number):
    time.sleep(0.5)  # so that the jobs overlap
    return sorted(os.sched_getaffinity(0))


def its_process(number):
    return os.getpid()


def write_pid_and_sleep(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(120)


def sleep_unless_now(job):
    return job if job == "now" else write_pid_and_sleep(job)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_each_job_with_its_result():
    assert dict(local.run(range(5), double, processes=2)) == {0: 0, 1: 2, 2: 4, 3: 6, 4: 8}
    assert list(local.run([], double, processes=2)) == []


def test_a_job_that_fails_fails_no_other():
    jobs = ["die", "fine", "raise", "exit", "unpicklable", "too"]
    results = dict(local.run(jobs, fail_or_die, processes=2))
    assert (results["fine"], results["too"]) == ("fine", "too")
    assert str(results["die"]) == "the process ended with code -9"
    assert str(results["exit"]) == "the process ended with code 3"
    assert str(results["raise"]) == "ValueError: no"
    assert "cannot pickle" in str(results["unpicklable"])
    errors = [value for value in results.values() if isinstance(value, local.JobError)]
    assert len(errors) == 4 and all(error.seconds > 0 for error in errors)


def test_jobs_have_processes_and_cores_of_their_own():
    assert len(set(dict(local.run(range(3), its_process)).values())) == 3
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system has no affinity")
    cores = sorted(os.sched_getaffinity(0))
    assert local.cores() == len(cores)
    assert dict(local.run([0], its_cores)) == {0: cores}
    if len(cores) < 2:
        pytest.skip("this machine has one core")
    first, second = dict(local.run([0, 1], its_cores, processes=2)).values()
    assert sorted(first + second) == cores
    assert [share for share in local._shares(len(cores) + 1) if not share] == [[]]


def test_the_share_of_a_job_does_not_depend_on_their_number():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system has no affinity")
    (share,) = dict(local.Machine(2).run([0], its_cores)).values()
    assert share == sorted(os.sched_getaffinity(0))[::2]


def test_threads_of_shares():
    found = [tuple(local.threads(share).values()) for share in (1, 2, 3, 8)]
    assert found == [("1", "1"), ("2", "1"), ("2", "1"), ("2", "4")]


def test_closing_ends_the_processes(tmp_path):
    path = tmp_path / "pid"
    results = local.run(["now", path], sleep_unless_now, processes=2)
    assert next(results) == ("now", "now")
    wait_until(lambda: path.exists() and path.read_text())
    results.close()
    assert not is_running(int(path.read_text()))


PARENT = """
import signal
import sys
sys.path.insert(0, {folder!r})
from test_engines_local import local, write_pid_and_sleep
if __name__ == "__main__":
    # A shell lets what it starts in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        list(local.run([{one!r}, {two!r}], write_pid_and_sleep, processes=2))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_its_parent(tmp_path, number):
    script, files = tmp_path / "parent.py", [tmp_path / "one", tmp_path / "two"]
    script.write_text(
        PARENT.format(folder=os.path.dirname(__file__), one=str(files[0]), two=str(files[1]))
    )
    # Ctrl-C reaches the processes of a terminal together.
    parent = subprocess.Popen([sys.executable, script], start_new_session=True)
    wait_until(lambda: all(file.exists() and file.read_text() for file in files))
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)
    else:
        os.kill(parent.pid, number)
    assert parent.wait(30) == (130 if number == signal.SIGINT else -number)
    for file in files:
        wait_until(lambda file=file: not is_running(int(file.read_text())), 10)
