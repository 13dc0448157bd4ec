"""Named sets of word vectors: find, choose, fetch, load, cut to a data set, describe."""

import filecmp
import glob
import hashlib
import logging
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras import files, locations
from sst_keras.config import suggest
from sst_keras.errors import InputError, UsageError, in_one_line
from sst_keras.vectors import archives
from sst_keras.vectors.files import (
    WordVectors,
    file_format,
    read_keys,
    read_vectors,
    set_name,
    write_vectors,
)
from sst_keras.vectors.keys import PLAIN, diagnose
from sst_keras.vectors.matching import (
    Counts,
    forms,
    measure_coverage,
    measure_fit,
    wanted_words,
)

log = logging.getLogger(__name__)

# If several files have the same name, the first extension wins.
_ENDINGS = (
    ".txt", ".vec", ".bin", ".txt.gz", ".vec.gz", ".bin.gz", ".txt.zip", ".zip", ".csv", ".tsv",
    ".kv",
)  # fmt: skip
_CACHE_FORMAT = "4"  # Raise it when the same file would be read differently.
_LARGE = 100_000_000  # bytes of a file that takes seconds to read
_FRESH = 2.0  # seconds in which a file may change again without a new modification time


def available_vectors(data_dir: str | Path | None = None) -> dict[str, Path]:
    """Returns name → file of the sets that are known by name.

    They are those in the data folders' `vectors/`, and those that gensim has fetched.
    """
    found: dict[str, Path] = {}
    for folder in locations.data_dirs(data_dir):
        for ending in _ENDINGS:
            for path in sorted((folder / "vectors").glob(f"[!.]*{ending}")):
                found.setdefault(set_name(path), path)
    downloads = Path(os.environ.get("GENSIM_DATA_DIR") or Path.home() / "gensim-data")
    for folder in sorted(downloads.glob("*/")):
        for path in (folder / folder.name, folder / f"{folder.name}.gz"):
            if path.is_file():
                found.setdefault(folder.name, path)
    return dict(sorted(found.items()))


def find_vectors(name_or_path: str | Path, data_dir: str | Path | None = None) -> Path:
    """Returns the file of a set of vectors.

    The set is a path; `sample`, which is bundled; a name from `available_vectors`, with or without
    its file's extension; or the name of one that a checkout has in `data/vectors/`. The path of a
    zip's member is the zip's, then the member's: `glove.6B.zip/glove.6B.300d.txt`.

    Raises:
        UsageError: If there is no such set; the message lists the sets.
        InputError: If a zip is damaged.
    """
    name = str(name_or_path)
    if name == "sample":
        return locations.bundled("sample") / "vectors.txt"
    if archives.is_file(Path(name)):
        return Path(name)
    available = available_vectors(data_dir)
    with_extension = (path.parent / name for path in available.values())
    of_checkout = locations.bundled("word_vectors") / f"{name}.txt.gz"
    for path in (available.get(name), *with_extension, of_checkout):
        if path and archives.is_file(path):
            return path
    if Path(name).is_absolute():
        raise UsageError(
            f"there is no file {name!r}. Correct the path, or name another set.",
            setting="embedding.vectors",
        )
    raise UsageError(
        f"there are no vectors {name!r}{suggest(name, available)}. Expected a file or one of "
        f"{', '.join(['sample', *available])}. `sst-keras vectors fetch NAME` fetches the sets "
        f"of gensim's downloader, such as glove-wiki-gigaword-300.",
        setting="embedding.vectors",
    )


def facts_file(path: str | Path) -> Path:
    """Returns the file beside a set that says how `sst-keras vectors train` has made it."""
    return Path(path).with_name(f"{set_name(Path(path))}.json")


def training_facts(path: str | Path) -> dict[str, Any] | None:
    """Returns how a set was trained here: corpus, settings and more; None if it was not."""
    try:
        facts = files.read_json(facts_file(path))
    except InputError:
        return None
    is_of_file = facts.get("file") == Path(path).name and isinstance(facts.get("corpus"), dict)
    return facts if is_of_file else None


def require_facts_file(path: str | Path) -> None:
    """Raises a `UsageError` if something else is where the facts of a file would be written."""
    there = facts_file(path)
    if there.exists() and not training_facts(path):
        message = f"{str(there)!r} is in the way. Choose another name, or move it away."
        raise UsageError(message, setting="out")


def lasting_name(path: Path, data_dir: str | Path | None = None) -> str:
    """Returns what finds a set's file again from any folder: its name, or else its full path."""
    name = set_name(path)
    try:
        is_found = find_vectors(name, data_dir).resolve() == path.resolve()
    except InputError:
        is_found = False
    return name if is_found else str(path.resolve())


def misfit(
    path: str | Path, vectors: WordVectors, counts: Counts, key_pattern: str = PLAIN
) -> tuple[str, bool]:
    """Returns what is wrong with a set for some texts, and whether it must not be used for them.

    The text is empty if the set covers enough of them. A set must not be used if it covers next to
    nothing, or if its file writes the words in another way, which `keys.diagnose` recognizes.
    """
    fit = measure_fit(counts, vectors)
    if not fit.is_doubtful:
        return "", False
    words: Counter[str] = Counter()
    for each in counts.values():
        words.update(each)
    reason = diagnose(read_keys(path), words)
    covered = f"{vectors.name} has vectors for {fit.words_found:.1%} of the texts' words"
    if key_pattern != PLAIN:
        rows = vectors.words_in_file - vectors.other_keys
        covered += f"; {rows:,} of its {vectors.words_in_file:,} words are {key_pattern}"
    # The pattern in use explains the keys, but not why the words are others.
    is_other = bool(reason.pattern) and reason.pattern != key_pattern
    return f"{covered}. {reason}", fit.is_none or is_other


def choose_vectors(
    counts: Counts,
    data_dir: str | Path | None = None,
    most_frequent: int = 0,
    key_pattern: str = PLAIN,
) -> str | None:
    """Returns the name of the available set that covers the most tokens of some texts.

    Of several with equal coverage, the set with the longest vectors wins, then the first by name.
    Sets that were trained here are passed over, so that training vectors changes no other run.
    A file that cannot be read and a set that is a `misfit` are passed over with a warning. If
    `most_frequent` is that of a later `load_vectors`, the later call finds the set in the cache.
    """
    words = set().union(*counts.values())
    candidates, trained_here = [], []
    for name, path in available_vectors(data_dir).items():
        if training_facts(path):
            trained_here.append(name)
            continue
        try:
            vectors = load_vectors(path, words, most_frequent, key_pattern)
            problem, is_unfit = misfit(path, vectors, counts, key_pattern)
        except InputError as error:
            log.warning(f"Skipped: {error}")
            continue
        if is_unfit:
            log.warning(f"Vectors: skipped {name}, because {problem}")
            continue
        candidates.append((measure_coverage(counts, vectors).tokens_found, vectors.dim, name))
    if trained_here:
        log.info(
            f"Vectors: {', '.join(trained_here)} passed over, because auto takes no vectors that "
            f"were trained here. To use them, name them in embedding.vectors."
        )
    if not candidates:
        return None
    candidates.sort(key=lambda candidate: candidate[:2], reverse=True)  # ties stay in name order
    (share, dim, chosen), *others = candidates
    if others:
        rest = ", ".join(f"{name} ({100 * share:.1f} %, {dim})" for share, dim, name in others)
        best = f"{chosen} ({100 * share:.1f} % of the tokens, {dim} numbers)"
        log.info(f"Vectors: {best} chosen over {rest}")
    return chosen


def fetch_vectors(name: str) -> Path:
    """Returns the file of a set, fetched with gensim's downloader if it is not available yet.

    Raises:
        UsageError: If the downloader has no set of this name.
        InputError: If the network does not answer, or the download breaks off.
    """
    available = available_vectors()
    if name in available:
        return available[name]
    import gensim.downloader

    address = gensim.downloader.DATA_LIST_URL
    if not locations.is_reachable(address):
        raise InputError(
            f"{name}: gensim's list of vectors, {address}, does not answer. Download vectors "
            f"elsewhere, and put the file into {locations.cache_dir() / 'vectors'}{os.sep} or into "
            f"vectors/ of the folder that SST_KERAS_DATA names."
        )
    try:
        names = gensim.downloader.info(name_only=True)["models"]
        path = gensim.downloader.load(name, return_path=True) if name in names else None
    except Exception as error:  # of the network, of what came instead of the list, or a bare one
        message = f"{name}: the download broke off ({in_one_line(error)}). Fetch it again."
        raise InputError(message) from None
    if path:
        return Path(path)
    raise UsageError(
        f"there are no vectors {name!r}{suggest(name, names)}. Expected one of {', '.join(names)}."
    )


def load_vectors(
    path: str | Path, tokens: Iterable[str], most_frequent: int = 0, key_pattern: str = PLAIN
) -> WordVectors:
    """Reads the vectors that could serve some tokens, from the cache if it has them.

    They are those of the tokens' `wanted_words`, and of the file's `most_frequent` first words. The
    cache is keyed by the file's content, the words wanted and the key pattern. Errors are those of
    `read_vectors`.
    """
    wanted = wanted_words(tokens)
    key = f"{_CACHE_FORMAT} {fingerprint(path)} {most_frequent} {key_pattern}"
    digest = hashlib.sha256(key.encode())
    digest.update("\n".join(sorted(wanted)).encode("utf-8"))
    cached = locations.cache_dir() / "vectors-cache" / f"{digest.hexdigest()}.npz"
    try:
        arrays = files.read_arrays(cached)
        words = tuple(arrays["words"].tobytes().decode("utf-8").split("\n"))
        counts = arrays["counts"].tolist()
        vectors = WordVectors(words, arrays["vectors"], set_name(Path(path)), *counts)
        if len(vectors.words) == len(vectors.vectors):
            return vectors
    except (InputError, ValueError, KeyError, TypeError):
        pass  # missing or damaged: written again
    if (size := archives.size(Path(path))) > _LARGE:
        log.info(f"Vectors: reading {Path(path).name}, {size / 1e6:,.0f} MB ...")
    vectors = read_vectors(path, wanted, most_frequent, key_pattern)
    if vectors.words:
        words = np.frombuffer("\n".join(vectors.words).encode("utf-8"), np.uint8)
        counts = np.array(
            [vectors.words_in_file, vectors.undecodable, vectors.blank, vectors.other_keys]
        )
        with files.optional_cache(cached.parent), files.whole_file(cached) as partial:
            np.savez(partial, words=words, vectors=vectors.vectors, counts=counts)
    return vectors


def fingerprint(path: str | Path) -> str:
    """Returns the sha256 of a file's bytes, or of those of a zip's member.

    What gensim saved includes the files beside it.

    Hashing gigabytes takes seconds, so the result is cached under the files' paths, sizes and
    times. It is not cached if a file is so new that its next change could have the same times.
    """
    path = Path(path).resolve()
    member = archives.split_member(path)
    beside = path.parent.glob(f"{glob.escape(path.name)}.*.np[yz]")
    paths = [member[0]] if member else [path, *sorted(beside)]
    stats = [each.stat() for each in paths]
    # `cp -p` keeps the modification time but not the change time.
    state = [f"{stat.st_size}\n{stat.st_mtime_ns}\n{stat.st_ctime_ns}" for stat in stats]
    key = hashlib.sha256("\n".join([str(path), *map(str, paths), *state]).encode()).hexdigest()
    cached = locations.cache_dir() / "vectors-cache" / f"{key}.sha256"
    if cached.is_file() and len(known := cached.read_text("ascii", "replace")) == 64:
        return known
    digest = hashlib.sha256()
    for each in [path] if member else paths:
        with archives.open_file(each) if member else each.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    if time.time() - max(stat.st_mtime for stat in stats) > _FRESH:
        with files.optional_cache(cached.parent):
            files.write_text(cached, digest.hexdigest())
    return digest.hexdigest()


def write_subset(
    path: str | Path,
    tokens: Iterable[str],
    out: str | Path,
    most_frequent: int,
    key_pattern: str = PLAIN,
    decimals: int | None = None,
    overwrite: bool = False,
) -> WordVectors:
    """Writes the vectors of a file that some texts need, and returns what was written.

    They are what `load_vectors` returns for the same arguments, under plain words. For some of the
    tokens, or a smaller number, it reads the same from the subset as from the complete file, except
    if the numbers are rounded to some `decimals`. The format is word2vec text in the file's order.
    The same input always gives the same bytes.

    The subset of a set that was trained here has a file of facts beside it, too. There,
    `subset_of` is the fingerprint of the complete file. Such a subset at `out` is replaced; another
    file only with `overwrite`, unless it is the same already.

    Raises:
        UsageError: If `out` does not end in .txt, .vec, .txt.gz or .vec.gz, or is `path`, or is
            another file, or something else is where its facts would be.
        InputError: If the file cannot be read, or has a word that text cannot hold.
    """
    path, out = Path(path), Path(out)
    endings = (".txt", ".vec", ".txt.gz", ".vec.gz")
    if not out.name.endswith(endings) or out.resolve() == path.resolve():
        message = f"expected another file, ending in {', '.join(endings)}. Received: {str(out)!r}"
        raise UsageError(message, setting="out")
    vectors = read_vectors(path, wanted_words(tokens), most_frequent, key_pattern)
    if decimals is not None:
        vectors = replace(vectors, vectors=vectors.vectors.round(decimals))
    facts, there = training_facts(path), facts_file(out)
    require_facts_file(out)
    is_free = overwrite or not out.exists() or len(fingerprints(out)) > 1
    with files.whole_file(out) as partial:
        write_vectors(partial, vectors.words, vectors.vectors)
        written = read_vectors(partial)
        if written.words != vectors.words or not np.array_equal(written.vectors, vectors.vectors):
            lost = sorted(set(vectors.words) - set(written.words))[:3]
            raise InputError(f"{path}: expected words that text can hold. Received: {lost}.")
        if not is_free and not filecmp.cmp(partial, out, shallow=False):
            message = f"{str(out)!r} exists already. Choose another file, or overwrite it."
            raise UsageError(message, setting="out")
        if facts:
            about = {"file": out.name, "words": len(vectors.words)}
            about |= {"subset_of": fingerprints(path)[-1], "decimals": decimals}
            facts |= about | {"fingerprint": fingerprint(partial)}
            files.write_json(there, facts)
        else:
            there.unlink(missing_ok=True)  # of another set of this name
    return vectors


def fingerprints(path: str | Path) -> tuple[str, ...]:
    """Returns the fingerprint of a file, and that of the complete file if it is a subset of one.

    The second is known only of vectors that were trained here; see `write_subset`.
    """
    found, facts = fingerprint(path), training_facts(path) or {}
    whole = facts.get("subset_of")
    return (found, whole) if whole and facts.get("fingerprint") == found else (found,)


def nearest(
    path: str | Path,
    words: Sequence[str],
    count: int = 10,
    most_frequent: int = 200_000,
    key_pattern: str = PLAIN,
) -> dict[str, list[tuple[str, float]]]:
    """Returns word → its `count` nearest words and their cosines, the nearest first.

    Only the file's first `most_frequent` words are searched. The words themselves may have any
    spelling in `matching.forms`. A word without a vector raises a `UsageError`.
    """
    from gensim.models import KeyedVectors

    read = read_vectors(path, wanted_words(words), most_frequent, key_pattern)
    # A vector of zeros, which some files have for padding, has no cosine.
    rows = [row for row in read.index.values() if read.vectors[row].any()]
    keyed = KeyedVectors(read.dim)
    keyed.add_vectors([read.words[row] for row in rows], read.vectors[rows])
    found = {}
    for word in words:
        form = next((form for form in forms(word) if form in keyed), None)
        if form is None:
            raise UsageError(f"{read.name}: there is no vector, or only zeros, for {word!r}.")
        found[word] = keyed.most_similar(form, topn=count)
    return found


def describe(path: str | Path, key_pattern: str = PLAIN) -> dict[str, Any]:
    """Checks every row of a file, and returns its name, format, size, width and fingerprint."""
    first = read_vectors(path, wanted=(), most_frequent=10, key_pattern=key_pattern)
    described = {
        "name": first.name,
        "file": str(path),
        "format": file_format(Path(path)),
        "words": first.words_in_file,
        "not_utf8": first.undecodable,
        "blank": first.blank,
        "dim": first.dim,
        "first_words": list(first.words),
        "bytes": archives.size(Path(path)),
        "fingerprint": fingerprint(path),
    }
    if facts := training_facts(path):
        if facts.get("fingerprint") == described["fingerprint"]:
            described["training"] = facts
        else:
            log.warning(f"{facts_file(path)} is about another version of {path}. Passed over.")
    if key_pattern != PLAIN:
        described |= {"key_pattern": key_pattern, "other_keys": first.other_keys}
    return described
