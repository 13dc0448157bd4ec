"""On a full disk, a command says in one line which file had no room, and what was there stays."""

import json
import os
import subprocess
import sys

import pytest

# Runs in a mount namespace of its own, where a small file system is filled up.
SCRIPT = """
import hashlib, json, os, pathlib, shutil, subprocess, sys
mount, run, table = map(pathlib.Path, sys.argv[1:])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)], check=True)
os.environ.update(XDG_CACHE_HOME=str(mount / "cache"), HOME=str(mount))
os.chdir(mount)
from click.testing import CliRunner
from sst_keras.cli import main
shutil.copytree(run, "run")
def state():
    files = (path for path in pathlib.Path(".").rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
commands = [
    ["export", "run", "--out", "films/1"], ["export", "run", "--overwrite"],
    ["predict", "run", "--file", str(table), "--out", "o.csv"],
    ["plot", "run"], ["explain", "run", "Good.", "--out", "e.png"], ["evaluate", "run"],
    ["vectors", "subset", "sample", "--dataset", "sample"],
]
assert CliRunner().invoke(main, ["export", "run"]).exit_code == 0
found = []
for free in (4096, 65536):
    for command in commands if free == 4096 else commands[:1]:
        stat = os.statvfs(".")
        with open("filler", "wb") as file:
            file.write(bytes(stat.f_bavail * stat.f_frsize - free))
        before = state()
        result = CliRunner().invoke(main, command)
        after = state()
        changed = [path for path in before if after.get(path) != before[path]]
        problem = repr(result.exception)
        found.append([command, free, result.exit_code, problem, result.output, changed])
        os.unlink("filler")
        for path in set(after) - set(before):
            os.unlink(path)
for command in commands[:3]:
    found.append([command, None, CliRunner().invoke(main, command).exit_code, "", "", []])
print(json.dumps(found))
"""


@pytest.mark.slow
def test_no_command_fails_otherwise(trained_run, tmp_path):
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("a file system of its own needs root and unshare")
    (tmp_path / "mount").mkdir()
    table = tmp_path / "a.csv"
    table.write_text("text\n" + "a good film with a long story\n" * 3000, "utf-8")
    command = ["unshare", "-m", sys.executable, "-c", SCRIPT, tmp_path / "mount", trained_run.path]
    done = subprocess.run([*command, table], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    full = 0
    for command, free, code, problem, printed, changed in json.loads(done.stdout.splitlines()[-1]):
        about = command, free, printed[-500:]
        if free is None:  # with room, the same command succeeds
            assert code == 0, about
            continue
        assert problem.startswith(("None", "SystemExit")), (about, problem)
        allowed = ("run/plots/", "run/metrics.json", "run/behaviour.json")
        assert not [path for path in changed if not path.startswith(allowed)], (about, changed)
        if code:
            assert "No space left on device; " in printed.splitlines()[-1], about
            full += 1
    assert full > 5
