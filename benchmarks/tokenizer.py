"""The tokenizer on raw review snippets, against the treebank's own tokens.

    SST_KERAS_DATA=... python benchmarks/tokenizer.py [--texts FILE] [--json]

A line of `sst/original/original_rt_snippets.txt` counts if it is one sentence of the treebank, that
is, if the two are equal without white space, double quotes, escapes and mojibake.

With a FILE of one text per line, it also measures how fast texts are read.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import re
import time
from pathlib import Path

import click

from sst_keras import treebank

SPLITS = ("train", "dev", "test")
QUOTES = re.compile("``|''|\"")


def bare(text: str) -> str:
    """Returns a text without white space and double quotes."""
    return QUOTES.sub("", "".join(text.split()))


def repaired(text: str) -> str:
    """Returns a text with its mojibake undone."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def pairs(data: Path) -> list[tuple[str, str, list[str]]]:
    """Returns each raw snippet with the split and the tokens of its sentence."""
    sentences: dict[str, tuple[str, list[str]]] = {}
    for split in SPLITS:
        for tree in treebank.read_trees(data / "sst" / f"{split}.txt"):
            tokens = list(tree.root_example().tokens)
            sentences.setdefault(bare("".join(tokens)), (split, tokens))
    raw = (data / "sst/original/original_rt_snippets.txt").read_text("utf-8").split("\n")
    found = []
    for line in map(repaired, map(str.strip, raw)):
        plain = " ".join(treebank.unescape(word) for word in line.split(" "))
        if bare(plain) in sentences:
            found.append((line, *sentences[bare(plain)]))
    return found


def kind(expected: list[str], received: list[str]) -> str:
    """Returns the kind of difference between two lists of tokens."""
    if any("\u00a0" in token for token in expected):
        return "a mixed fraction, joined in the treebank"
    first, second = "".join(expected), "".join(received)
    if first != second:
        return "the sentence has other quotes than the snippet"
    differing = set(expected) ^ set(received)
    for name, signs in (("hyphen", "-"), ("quote or apostrophe", "'`"), ("slash", "/")):
        if any(sign in token for token in differing for sign in signs):
            return name
    return "other"


def reading(path: Path) -> dict[str, float]:
    """Measures how fast a file of one text per line becomes a corpus."""
    from sst_keras.texts import TextReader

    started, cpu = time.perf_counter(), time.process_time()
    reader = TextReader()
    with path.open(encoding="utf-8", newline="\n") as file:
        for lines in iter(lambda: list(itertools.islice(file, 4096)), []):
            reader.add(lines)
    texts = reader.finish()
    return {
        "texts": len(texts),
        "tokens": len(texts.ids),
        "texts_per_second": len(texts) / (time.perf_counter() - started),
        "texts_per_cpu_second": len(texts) / (time.process_time() - cpu),
    }


@click.command()
@click.option(
    "--texts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of one text per line, to measure how fast it is read.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(texts: Path | None, as_json: bool) -> None:
    """Measure agreement with the treebank, and speed."""
    from sst_keras.runtime import tf
    from sst_keras.tokenizer import tokenize

    if not os.environ.get("SST_KERAS_DATA"):
        raise click.UsageError("SST_KERAS_DATA must name the folder with sst/original/.")
    found = pairs(Path(os.environ["SST_KERAS_DATA"]))
    snippets = tf.constant([text for text, _, _ in found])
    tokenize(snippets[:10])
    started = time.perf_counter()
    rows = tokenize(snippets)
    seconds = time.perf_counter() - started
    ours = [[token.decode() for token in row] for row in rows.to_list()]
    hits = collections.Counter()
    total = collections.Counter()
    for (_, split, tokens), output in zip(found, ours, strict=True):
        for place in (split, "all"):
            total[place] += 1
            hits[place] += output == tokens
    agreement = {place: hits[place] / total[place] for place in (*SPLITS, "all")}
    misses = collections.defaultdict(list)
    for (_, _, tokens), output in zip(found, ours, strict=True):
        if output != tokens:
            misses[kind(tokens, output)].append((tokens, output))
    result = {
        "snippets": len(found),
        "agreement": agreement,
        "misses": {name: len(rows) for name, rows in misses.items()},
        "snippets_per_second": len(found) / seconds,
        "reading": reading(texts) if texts else None,
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(f"{len(found):,} snippets are exactly one sentence.")
    shares = (f"{place} {share:.2%}" for place, share in agreement.items())
    click.echo(f"Tokenized exactly as in the treebank: {', '.join(shares)}")
    click.echo(f"{result['snippets_per_second']:,.0f} snippets per second, in one batch")
    if texts:
        rate = "{texts:,} texts of {tokens:,} tokens: {texts_per_second:,.0f} per second, "
        rate += "{texts_per_cpu_second:,.0f} per second of CPU time"
        click.echo(rate.format(**result["reading"]))
    for name, rows in sorted(misses.items(), key=lambda item: -len(item[1])):
        click.echo(f"\n{name}: {len(rows)}")
        for tokens, output in rows[:5]:
            place = next(
                (n for n, (a, b) in enumerate(zip(tokens, output, strict=False)) if a != b),
                min(len(tokens), len(output)),
            )
            near = slice(max(place - 2, 0), place + 4)
            click.echo(f"  treebank {' '.join(tokens[near])!r}, ours {' '.join(output[near])!r}")


if __name__ == "__main__":
    main()
