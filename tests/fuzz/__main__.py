"""Looks for bytes that our readers do not answer as they should, guided by the code that runs.

    python -m tests.fuzz [--seconds N] [READER...]

A finding is written to `tests/fuzz/found/READER-*`, where the tests read it from then on.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

FOUND = Path(__file__).parent / "found"


def search(name: str, seconds: int) -> None:
    """Searches with one reader, in a process of its own: libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=["sst_keras"]):
        from tests.fuzz.readers import READERS, read

    with tempfile.TemporaryDirectory() as corpus:
        for number, content in enumerate(READERS[name][2]):
            Path(corpus, str(number)).write_bytes(content)
        options = [
            f"-max_total_time={seconds}", f"-artifact_prefix={FOUND / name}-", "-timeout=10",
            "-rss_limit_mb=4096", "-max_len=4096", "-print_final_stats=1", "-verbosity=0",
        ]  # fmt: skip
        atheris.Setup([sys.argv[0], *options, corpus], lambda content: read(name, bytes(content)))
        atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("readers", nargs="*", help="by default all of tests/fuzz/readers.py")
    parser.add_argument("--seconds", type=int, default=40, help="for each reader")
    given = parser.parse_args()
    FOUND.mkdir(exist_ok=True)
    if len(given.readers) == 1:
        search(given.readers[0], given.seconds)  # it imports what it instruments
        return

    from tests.fuzz.readers import READERS

    failed = []
    for name in given.readers or READERS:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(given.seconds)]
        failed += [name] if subprocess.run(command).returncode else []
    if failed:
        sys.exit(f"Findings of {', '.join(failed)} are in {FOUND}.")


if __name__ == "__main__":
    main()
