"""The bundled sample, and the grammar that makes it."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sst_keras import locations
from sst_keras.treebank import parse_tree, read_trees
from sst_keras.vectors.sets import read_vectors

SCRIPT = Path(__file__).parents[1] / "data" / "make_sample.py"
SAMPLE = locations.bundled("sample")
SPLITS = {"train": 1100, "dev": 150, "test": 250}


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_sample", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_sample"] = module  # its dataclass asks for its module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_sample"]


@pytest.fixture(scope="module")
def splits():
    return {name: list(read_trees(SAMPLE / f"{name}.txt")) for name in SPLITS}


def test_the_same_seed_gives_the_same_bytes(maker):
    for name, trees in maker.make_trees(maker.SEED).items():
        assert (SAMPLE / f"{name}.txt").read_bytes() == maker.as_text(trees).encode()


def test_the_bytes_do_not_depend_on_pythons_hash():
    code = f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("'__main__'", "'m'") + "; print('ok')"],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
        )
        assert done.stdout == "ok\n", done.stderr
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        env={"PYTHONHASHSEED": "7", "PATH": "", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_another_seed_gives_others(maker):
    assert maker.make_trees(1)["dev"] != maker.make_trees(maker.SEED)["dev"]


def test_sizes_classes_and_disjoint_splits(splits):
    texts = {name: {t.root_example().tokens for t in trees} for name, trees in splits.items()}
    for name, size in SPLITS.items():
        assert len(splits[name]) == len(texts[name]) == size
        assert np.bincount([tree.label for tree in splits[name]]).tolist() == [size // 5] * 5
    assert len(set.union(*texts.values())) == sum(SPLITS.values())


def test_every_tree_is_binary_and_reads_back(splits):
    def check(tree):
        assert len(tree.children) in (0, 2)
        for child in tree.children:
            check(child)

    for trees in splits.values():
        for tree in trees:
            check(tree)
            assert parse_tree(str(tree)) == tree


def test_labels_of_scores(maker):
    scores = (-1, -0.61, -0.6, -0.16, -0.15, 0, 0.15, 0.16, 0.6, 0.61, 1)
    assert [maker.label_of(score) for score in scores] == [0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4]


def test_composition_by_hand(maker):
    # very good 0.72, not good -0.45, not dull 0.45, not superb 0, almost awful -0.18.
    assert maker.label_of(maker.intensified(0.45)) == 4
    assert maker.label_of(maker.negated(0.45)) == 1
    assert maker.label_of(maker.negated(-0.45)) == 3
    assert maker.label_of(maker.negated(0.9)) == 2
    assert maker.negated(0.0) == 0.0
    assert maker.label_of(maker.weakened(-0.9)) == 1
    # good, but dull: 0.1125 - 0.3375; superb and good: 0.945; good and dull cancel out.
    assert maker.contrasted(0.45, -0.45) == pytest.approx(-0.225)
    assert maker.added(0.9, 0.45) == pytest.approx(0.945)
    assert maker.added(0.45, -0.45) == 0
    assert maker.intensified(0.9) == 1.0 and maker.added(-0.9, -0.9) == -1.0


def test_small_letters_within_a_sentence_and_articles(maker):
    phrase = maker.lower_first(maker.chain("The film", 0.2))
    assert str(phrase.tree()) == "(3 (2 the) (2 film))"
    assert maker.article(maker.word("awful")) == "an"
    assert maker.article(maker.pair(maker.word("very"), maker.word("awful"))) == "a"


def test_texts_read_as_english(splits):
    texts = [" ".join(t.root_example().tokens) for trees in splits.values() for t in trees]
    assert all(text[0].isupper() or text.startswith("``") for text in texts)
    assert all(text.endswith((" .", " ?")) for text in texts)
    assert not any(" a a" in text or " a u" in text and " a un" in text for text in texts)
    for sign in ("n't", "(", "``", ", but", "Although", "?"):
        assert any(sign in text for text in texts)


def test_the_vectors(splits, maker):
    vectors = read_vectors(SAMPLE / "vectors.txt")
    assert vectors.dim == 50 and (SAMPLE / "vectors.txt").stat().st_size < 400_000
    counts = {}
    for tree in splits["train"]:
        for token in tree.root_example().tokens:
            counts[token.lower()] = counts.get(token.lower(), 0) + 1
    assert set(vectors.words) == {word for word, count in counts.items() if count > 1}
    frequencies = [counts[word] for word in vectors.words]
    assert frequencies == sorted(frequencies, reverse=True)
    few = splits["train"][:60]
    assert maker.make_vectors(few, seed=1) == maker.make_vectors(few, seed=1)


def test_a_random_review_follows_from_its_seed(maker):
    one, two = (maker.review(random.Random(5)).tree() for _ in range(2))
    assert one == two


def test_the_readme_has_the_measured_counts(splits):
    import hashlib

    readme = (SCRIPT.parent / "README.md").read_text("utf-8")
    for name, trees in splits.items():
        tokens = [token for tree in trees for token in tree.root_example().tokens]
        spans = sum(1 for tree in trees for _ in tree.examples())
        digest = hashlib.sha256((SAMPLE / f"{name}.txt").read_bytes()).hexdigest()[:16]
        row = f"| {name} | {len(trees):,} | {len(trees) // 5} | {len(tokens):,} | "
        assert f"{row}{len(set(tokens))} | {spans:,} | `{digest}` |" in readme
