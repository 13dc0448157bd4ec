"""What `sst-keras data check` answers to files as people have them; `cases/` has the tables."""

import json
import shlex
from collections import Counter
from pathlib import Path

import pytest
from cases import label_cases, program_cases, shared_cases, split_cases, table_cases
from cases.expecting import Refused, differences
from click.testing import CliRunner

from sst_keras.cli import main

CASES = [*label_cases.CASES, *table_cases.CASES, *split_cases.CASES, *program_cases.CASES]
SHARED = Path(__file__).parents[2] / "shared/cases"


def write(case, folder: Path) -> Path:
    """Writes the files of a case, and returns the path of the data set."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return folder / next(iter(case.files)) if len(case.files) == 1 else folder


def invoke(*arguments):
    """Runs a command. An exception that it does not turn into a message fails the test."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def check(path: Path, options: str, answers: list) -> None:
    """Compares the answer for a data set with those of which any will do."""
    result = invoke("data", "check", path, *shlex.split(options), "--json")
    found, problems = {}, []
    if result.exit_code == 0:
        found = json.loads(result.stdout)
        classes = Counter()
        for split in found["splits"].values():
            classes.update(split["classes"])
        texts = sum(split["texts"] for split in found["splits"].values())
        found["total"] = {"texts": texts, "classes": dict(classes)}
    for answer in answers:
        if isinstance(answer, Refused):
            each = answer.problems(result.exit_code, result.stderr)
        elif found:
            each = differences(answer, found)
        else:
            each = ["refused"]
        if not each:
            return
        problems += each
    pytest.fail("\n".join([*problems, result.stderr or json.dumps(found, ensure_ascii=False)]))


def shown(path: Path, options: str) -> Counter:
    """Returns every class and text of a data set, without white space, as `data show` has them."""
    rows = Counter()
    for split in ("train", "dev", "test"):
        arguments = ["--dataset", path, "--split", split, "-n", 9999, *shlex.split(options)]
        rows.update(map(bare, invoke("data", "show", *arguments).stdout.splitlines()))
    return rows


def bare(text: str) -> str:
    """Returns a text without white space and with one kind of quotation mark and dash."""
    for token, sign in (("``", '"'), ("''", '"'), ("\u2019", "'"), ("\u2013", "--")):
        text = text.replace(token, sign)
    return "".join(text.split())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_file_is_read_or_refused_with_a_reason(case, tmp_path):
    path = write(case, tmp_path)
    check(path, case.options, case.answers)
    if case.rows is not None:
        assert shown(path, case.options) == Counter(bare(f"{y}{text}") for text, y in case.rows)


def test_the_names_of_the_cases_differ():
    names = Counter(case.name for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="there is no ../shared/cases beside the repository")
@pytest.mark.parametrize(
    ("name", "options", "answer"),
    shared_cases.CASES,
    ids=[f"{name} {options}".strip().replace(" ", "_") for name, options, _ in shared_cases.CASES],
)
def test_the_shared_files(name, options, answer):
    check(SHARED / name, options, answer if isinstance(answer, list) else [answer])
