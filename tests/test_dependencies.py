"""The locked versions satisfy what the package requires."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parents[1] / "requirements-lock.txt"
REQUIRED = [Requirement(line) for line in requires("sst-keras")]
EXTRAS = ("", "serve", "onnx", "test")


def locked():
    lines = LOCK.read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


@pytest.mark.parametrize("requirement", REQUIRED, ids=str)
def test_the_lock_has_what_is_required(requirement):
    if not any(
        requirement.marker is None or requirement.marker.evaluate({"extra": extra})
        for extra in EXTRAS
    ):
        pytest.skip("of an extra that the tests do not need")
    assert locked()[canonicalize_name(requirement.name)] in requirement.specifier


def test_a_line_is_a_package_and_its_version():
    lines = [line for line in LOCK.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in lines)
