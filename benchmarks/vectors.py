"""Reading a large file of word vectors: our streaming reader against gensim's full load.

    python benchmarks/vectors.py                  1,000,000 words of 300 numbers, 3 GB of disk
    python benchmarks/vectors.py --words 50000    smaller, to try it out

Each load runs in a separate process, and the two take turns. Ours keeps 20,000 words of the file,
as a training run does; gensim's `KeyedVectors` keeps all of them.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import records

WANTED = 20_000

OURS = """
from sst_keras.vectors.files import read_vectors
wanted = {{f"word{{number}}" for number in range(0, {words}, max(1, {words} // {wanted}))}}
vectors = read_vectors({path!r}, wanted)
assert len(vectors.words) == len(wanted), len(vectors.words)
"""
GENSIM = """
from gensim.models import KeyedVectors
keyed = KeyedVectors.load_word2vec_format({path!r}, binary={binary})
assert len(keyed) == {words}, len(keyed)
"""


def make_file(path: Path, words: int, dim: int) -> None:
    """Writes random vectors as word2vec text, or as binary if the name ends in .bin.

    A thousand different vectors repeat, which makes no difference to the readers.
    """
    vectors = np.random.default_rng(0).normal(0, 0.4, (1000, dim)).astype("<f4")
    if path.suffix == ".bin":
        rows = [vector.tobytes() for vector in vectors]
    else:
        rows = [" ".join(f"{number:.5f}" for number in vector).encode() for vector in vectors]
    with path.open("wb") as file:
        file.write(f"{words} {dim}\n".encode())
        for number in range(words):
            file.write(b"word%d %b\n" % (number, rows[number % len(rows)]))


def measure(code: str) -> tuple[float, float]:
    """Runs code in a new process; returns its seconds and its peak memory in GB."""
    started = time.perf_counter()
    # Not from getrusage, because a child inherits its parent's peak.
    child = f"{code}\nprint(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    return time.perf_counter() - started, int(done.stdout) * 1024 / 1e9


@click.command()
@click.option("--words", default=1_000_000, show_default=True)
@click.option("--dim", default=300, show_default=True)
@click.option("--formats", default="text,bin", show_default=True)
@click.option("--repeats", default=3, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False), help="Where the files are made.")
def main(words: int, dim: int, formats: str, repeats: int, folder: str | None) -> None:
    """Compare the two loads."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for kind in formats.split(","):
            path = Path(temporary) / ("vectors.bin" if kind == "bin" else "vectors.txt")
            click.echo(f"Making {path.name}: {words:,} words of {dim} numbers ...", err=True)
            make_file(path, words, dim)
            codes = {
                "ours": OURS.format(path=str(path), words=words, wanted=WANTED),
                "gensim": GENSIM.format(path=str(path), words=words, binary=kind == "bin"),
            }
            runs = {name: [] for name in codes}
            for _ in range(repeats):
                for name, code in codes.items():
                    runs[name].append(measure(code))
            seconds = {name: statistics.median(run[0] for run in runs[name]) for name in runs}
            memory = {name: max(run[1] for run in runs[name]) for name in runs}
            record = records.append(
                "vectors",
                ("gensim", "numpy", "sst-keras"),
                format=kind,
                words=words,
                dim=dim,
                file_gb=path.stat().st_size / 1e9,
                repeats=repeats,
                seconds=seconds,
                peak_memory_gb=memory,
                gensim_over_ours_seconds=seconds["gensim"] / seconds["ours"],
            )
            path.unlink()
            click.echo(
                f"{kind}: ours {seconds['ours']:.1f} s and {memory['ours']:.2f} GB, gensim "
                f"{seconds['gensim']:.1f} s and {memory['gensim']:.2f} GB; gensim takes "
                f"{record['gensim_over_ours_seconds']:.1f} times as long"
            )


if __name__ == "__main__":
    main()
