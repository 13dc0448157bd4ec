"""What fuzzing has found, and quick random damages of small files of each kind."""

from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.readers import READERS, read

FOUND = sorted(path for path in (Path(__file__).parent / "fuzz" / "found").glob("[!.]*"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found(path):
    name = max((name for name in READERS if path.name.startswith(f"{name}-")), key=len)
    read(name, path.read_bytes())


@pytest.mark.parametrize("name", READERS)
def test_damages(name):
    rng = np.random.default_rng(1)
    for content in READERS[name][2]:
        read(name, content)
        for _ in range(100):
            damaged = bytearray(content)
            for _ in range(rng.integers(1, 4)):
                place = rng.integers(len(damaged) + 1)
                kind = rng.integers(4)
                if kind == 0:
                    damaged[place : place + 1] = bytes([rng.integers(256)])
                elif kind == 1:
                    del damaged[place : place + rng.integers(8)]
                elif kind == 2:
                    damaged[place:place] = damaged[: rng.integers(len(damaged) + 1)]
                else:
                    extra = (b"\r", b"\0", b'"', b"[" * 9999, b"9" * 400, b"\xe2\x80\xa8", b"nan")
                    damaged[place:place] = extra[rng.integers(len(extra))]
            read(name, bytes(damaged))
