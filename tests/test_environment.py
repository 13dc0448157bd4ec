import json
import subprocess

import pytest

import sst_keras
from sst_keras import environment
from sst_keras.environment import describe_environment, warn_of_slow_bfloat16
from sst_keras.runtime import is_bfloat16_slow


def test_versions_and_machine():
    described = describe_environment()
    assert described["versions"]["sst_keras"] == sst_keras.__version__
    assert described["versions"].keys() == {"sst_keras", "python", "tensorflow", "keras", "numpy"}
    assert described["machine"]["cores"] >= 1
    assert json.loads(json.dumps(described)) == described


def test_the_commit_is_that_of_a_checkout_only(monkeypatch, tmp_path):
    package = tmp_path / "sst_keras"
    package.mkdir()
    monkeypatch.setattr(environment.sst_keras, "__file__", str(package / "__init__.py"))
    assert describe_environment()["git_commit"] is None

    def git(*arguments):
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(
            ["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    git("init")
    assert describe_environment()["git_commit"] is None  # no commit yet
    (package / "__init__.py").write_text("")
    git("add", ".")
    git("commit", "-m", "x")
    commit = describe_environment()["git_commit"]
    assert len(commit) == 40 and int(commit, 16)
    (package / "__init__.py").write_text("changed = True")
    assert describe_environment()["git_commit"] == f"{commit}-dirty"


def test_without_git_there_is_no_commit(monkeypatch):
    def run(*arguments, **options):
        raise FileNotFoundError

    monkeypatch.setattr(environment.subprocess, "run", run)
    assert describe_environment()["git_commit"] is None


@pytest.mark.parametrize(
    ("info", "slow"),
    [
        ("flags\t\t: fpu avx512f avx2\n\nflags\t\t: fpu\n", True),
        ("flags\t\t: fpu avx512_bf16\n", False),
        ("Features\t: fp asimd bf16\n", False),  # ARM
        ("Features\t: fp asimd\n", True),
        ("vendor: unknown\n", False),
        (None, False),  # not Linux
    ],
)
def test_cpus_without_bfloat16(info, slow, tmp_path):
    if info:
        (tmp_path / "cpuinfo").write_text(info)
    assert is_bfloat16_slow(tmp_path / "cpuinfo") is slow


def test_a_warning_where_bfloat16_is_slow(monkeypatch, caplog):
    monkeypatch.setattr(environment, "is_bfloat16_slow", lambda: True)
    warn_of_slow_bfloat16("float32")
    assert not caplog.messages
    warn_of_slow_bfloat16("bfloat16")
    assert "no bfloat16 instructions" in caplog.text
