"""Makes the bundled sample: short made-up reviews as sentiment trees, and word vectors from them.

    python data/make_sample.py            write data/sample/ again
    python data/make_sample.py --check    check that the trees are what would be written

A small grammar builds each review with a score from -1 to 1 for every part, so that the label of a
part follows from its own parts:

- A word has its own score: `superb` 0.9, `good` 0.45, `plot` 0, `dull` -0.45, `awful` -0.9.
- An intensifier multiplies it by 1.6, `almost` by 0.2.
- A negation shifts it by 0.9 towards the other side: `not good` is negative, `not superb` neutral
  (Taboada et al., "Lexicon-Based Methods for Sentiment Analysis", Computational Linguistics 2011).
- Two contrasting clauses: the main one counts three quarters, the other one quarter.
- Two clauses joined by `and`: each counts seven tenths.

Labels: 0 below -0.6, 1 below -0.15, 2 up to 0.15, 3 up to 0.6, 4 above.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from sst_keras import files, treebank
from sst_keras.treebank import Tree

FOLDER = Path(__file__).parent / "sample"
SEED = 2013
SIZES = {"train": 1100, "dev": 150, "test": 250}
CLASSES = 5
DIM = 50

# === Words and their scores ===

ADJECTIVES = {
    0.9: "superb wonderful brilliant dazzling magnificent unforgettable exquisite stunning",
    0.45: "good charming funny clever enjoyable engaging warm thoughtful",
    0.0: "long short loud quiet old foreign animated rural",
    -0.45: "dull slow predictable clumsy bland silly uneven forgettable",
    -0.9: "awful terrible dreadful unbearable atrocious worthless insufferable abysmal",
}
VERBS = {
    0.9: "astonishes|enchants everyone|takes your breath away|soars",
    0.45: "entertains|works|delights|holds your attention|grows on you|pays off",
    0.0: "begins at noon|lasts two hours|returns in May|takes place in Lisbon|comes from Canada",
    -0.45: "drags|disappoints|bores|falls flat|loses its way|wears thin",
    -0.9: "insults its audience|collapses completely|wastes everyone involved|makes you suffer",
}
BARE_VERBS = {  # after "does n't"
    0.9: "astonish|soar",
    0.45: "entertain|work|delight|pay off",
    -0.45: "drag|disappoint|bore|fall flat",
    -0.9: "collapse completely|insult its audience",
}
SUBJECTS = (
    "The film|The movie|The plot|The acting|The music|The script|The ending|The director 's vision|"
    "The camera work|This comedy|This drama|This thriller|The first half|The dialogue|The pacing|"
    "The story|The cast|Her performance|His debut|The remake"
).split("|")
NOUNS = "film movie story comedy drama thriller adventure romance documentary sequel".split()
TITLES = (
    "Silent Harbor|The Last Orchard|Paper Moons|Winter Ferry|Nine Bridges|A Quiet Engine".split("|")
)
NEUTRAL = (
    "It runs for about two hours|There are four songs in it|The story is set in a small town|"
    "It was filmed in Portugal|The cast is mostly unknown|It opens with a wedding|"
    "A sequel is planned for next year|It is based on a true story|The score uses only strings|"
    "The action moves from Paris to Rome"
).split("|")
INTENSIFIERS = "very truly remarkably extremely incredibly".split()
WEAKENERS = "almost nearly".split()
NEGATIONS = ("not", "never", "hardly")


@dataclass(frozen=True)
class Phrase:
    """A part of a review, a token or two parts, with its score from -1 to 1."""

    score: float
    token: str | None = None
    parts: tuple[Phrase, ...] = ()

    def tree(self) -> Tree:
        """Returns the part as a labelled tree."""
        return Tree(label_of(self.score), self.token, tuple(part.tree() for part in self.parts))


def label_of(score: float) -> int:
    """Returns the class of a score."""
    return sum(score >= bound for bound in (-0.6, -0.15)) + sum(
        score > bound for bound in (0.15, 0.6)
    )


def intensified(score: float) -> float:
    """Returns the score of `very X`."""
    return max(-1.0, min(1.0, 1.6 * score))


def weakened(score: float) -> float:
    """Returns the score of `almost X`."""
    return 0.2 * score


def negated(score: float) -> float:
    """Returns the score of `not X`."""
    return score - 0.9 if score > 0 else score + 0.9 if score < 0 else 0.0


def contrasted(lesser: float, main: float) -> float:
    """Returns the score of `LESSER, but MAIN`."""
    return 0.25 * lesser + 0.75 * main


def added(first: float, second: float) -> float:
    """Returns the score of `FIRST and SECOND`."""
    return max(-1.0, min(1.0, 0.7 * (first + second)))


# === Grammar ===


def word(token: str, score: float = 0.0) -> Phrase:
    """Returns a single token."""
    return Phrase(score, token)


def pair(left: Phrase, right: Phrase, score: float | None = None) -> Phrase:
    """Returns two parts as one; its default score is that of the stronger part."""
    if score is None:
        score = max(left.score, right.score, key=abs)
    return Phrase(score, None, (left, right))


def chain(text: str, score: float = 0.0) -> Phrase:
    """Returns neutral tokens as a right-branching tree with a score at its root."""
    tokens = text.split()
    phrase = word(tokens[-1], score if len(tokens) == 1 else 0.0)
    for token in reversed(tokens[:-1]):
        phrase = pair(word(token), phrase)
    return Phrase(score, phrase.token, phrase.parts)


def before(text: str, phrase: Phrase) -> Phrase:
    """Puts neutral tokens before a phrase."""
    for token in reversed(text.split()):
        phrase = pair(word(token), phrase)
    return phrase


def adjective(rng: random.Random, score: float) -> Phrase:
    """Returns a random adjective with this score."""
    return word(rng.choice(ADJECTIVES[score].split()), score)


def adjective_phrase(rng: random.Random) -> Phrase:
    """Returns an adjective, often intensified, weakened or negated."""
    score = rng.choice((0.9, 0.45, 0.45, 0.0, -0.45, -0.45, -0.9))
    phrase = adjective(rng, score)
    kind = rng.random()
    if abs(score) == 0.45 and kind < 0.25:
        phrase = pair(word(rng.choice(INTENSIFIERS)), phrase, intensified(phrase.score))
    elif score and kind > 0.9:
        phrase = pair(word(rng.choice(WEAKENERS)), phrase, weakened(phrase.score))
    if score and rng.random() < 0.3:
        phrase = pair(word(rng.choice(NEGATIONS)), phrase, negated(phrase.score))
    return phrase


def article(phrase: Phrase) -> str:
    """Returns `a` or `an`, depending on the phrase's first letter."""
    while phrase.token is None:
        phrase = phrase.parts[0]
    return "an" if phrase.token[0] in "aeiou" else "a"


def noun_phrase(rng: random.Random) -> Phrase:
    """Returns a noun phrase such as `a very charming film`."""
    described = adjective_phrase(rng)
    while described.parts and described.parts[0].token in NEGATIONS:
        described = adjective_phrase(rng)
    whole = pair(described, word(rng.choice(NOUNS)))
    return pair(word(article(described)), whole)


def clause(rng: random.Random) -> Phrase:
    """Returns a subject and a predicate."""
    subject = chain(rng.choice(SUBJECTS))
    kind = rng.random()
    if kind < 0.4:
        said = before(rng.choice(("is", "feels", "was")), adjective_phrase(rng))
    elif kind < 0.5:
        phrase = adjective(rng, rng.choice((0.9, 0.45, -0.45, -0.9)))
        said = before("is", pair(word("n't"), phrase, negated(phrase.score)))
    elif kind < 0.7:
        score = rng.choice(tuple(VERBS))
        said = chain(rng.choice(VERBS[score].split("|")), score)
    elif kind < 0.82:
        score = rng.choice(tuple(BARE_VERBS))
        verb = chain(rng.choice(BARE_VERBS[score].split("|")), score)
        said = before("does", pair(word("n't"), verb, negated(verb.score)))
    else:
        return before(rng.choice(("It 's", "This is", "What we get is")), noun_phrase(rng))
    return pair(subject, said)


def lower_first(phrase: Phrase) -> Phrase:
    """Returns the phrase with its first letter in lower case."""
    if phrase.token is not None:
        return Phrase(phrase.score, phrase.token[0].lower() + phrase.token[1:])
    left, right = phrase.parts
    return Phrase(phrase.score, None, (lower_first(left), right))


def contrast(rng: random.Random) -> Phrase:
    """Returns two contrasting clauses; the second one counts more."""
    lesser, main = clause(rng), lower_first(clause(rng))
    score = contrasted(lesser.score, main.score)
    if rng.random() < 0.35:
        opening = before(rng.choice(("Although", "While", "Even though")), lower_first(lesser))
        return pair(pair(opening, word(",")), main, score)
    link = rng.choice((", but", ", yet", "; still ,"))
    return pair(lesser, before(link, main), score)


def addition(rng: random.Random) -> Phrase:
    """Returns two clauses joined by `and`."""
    first, second = clause(rng), lower_first(clause(rng))
    return pair(first, before("and", second), added(first.score, second.score))


def aside(rng: random.Random) -> Phrase:
    """Returns a clause and a neutral remark in brackets."""
    remark = pair(before("(", lower_first(chain(rng.choice(NEUTRAL)))), word(")"))
    return pair(clause(rng), remark)


def titled(rng: random.Random) -> Phrase:
    """Returns a clause about a film by name, in quotes."""
    title = pair(before("``", chain(rng.choice(TITLES))), word("''"))
    return pair(title, before("is", noun_phrase(rng)))


def neutral(rng: random.Random) -> Phrase:
    """Returns one or two statements of fact."""
    first = chain(rng.choice(NEUTRAL))
    if rng.random() < 0.5:
        return first
    return pair(first, before(", and", lower_first(chain(rng.choice(NEUTRAL)))))


def question(rng: random.Random) -> Phrase:
    """Returns a rhetorical question."""
    score = rng.choice((0.9, 0.45, -0.45, -0.9))
    start = (
        ("Who could resist something so", "When was a film last this")
        if score > 0
        else ("Why would anyone watch something so", "How can a film be this")
    )
    described = adjective(rng, score)
    return before(rng.choice(start), described)


KINDS: tuple[tuple[Callable[[random.Random], Phrase], float, str], ...] = (
    (clause, 0.3, "."),
    (contrast, 0.27, "."),
    (addition, 0.15, "."),
    (titled, 0.08, "."),
    (aside, 0.08, "."),
    (neutral, 0.05, "."),
    (question, 0.07, "?"),
)


def review(rng: random.Random) -> Phrase:
    """Returns a complete review."""
    kind, _, end = rng.choices(KINDS, [weight for _, weight, _ in KINDS])[0]
    return pair(kind(rng), word(end))


def make_trees(seed: int) -> dict[str, list[Tree]]:
    """Returns the splits, with equally many reviews per class and no review twice."""
    rng = random.Random(seed)
    seen: set[tuple[str, ...]] = set()
    splits = {}
    for split, size in SIZES.items():
        room = [size // CLASSES] * CLASSES
        trees = []
        while len(trees) < size:
            tree = review(rng).tree()
            tokens = tree.root_example().tokens
            if tokens not in seen and room[tree.label]:
                room[tree.label] -= 1
                seen.add(tokens)
                trees.append(tree)
        splits[split] = trees
    return splits


def as_text(trees: list[Tree]) -> str:
    """Returns a split's file."""
    return "".join(f"{tree}\n" for tree in trees)


def make_vectors(trees: list[Tree], seed: int) -> str:
    """Returns word vectors learned from reviews, as word2vec text.

    Skip-gram: Mikolov et al., "Distributed Representations of Words and Phrases and their
    Compositionality", NeurIPS 2013.
    """
    from zlib import crc32

    from gensim.models import Word2Vec

    texts = [[token.lower() for token in tree.root_example().tokens] for tree in trees]
    model = Word2Vec(
        texts,
        vector_size=DIM,
        window=5,
        min_count=2,
        sg=1,
        epochs=40,
        seed=seed,
        workers=1,  # with more, the order and therefore the numbers are random
        hashfxn=lambda text: crc32(text.encode()),  # Python's own hash differs from run to run
    )
    words = model.wv.index_to_key
    rows = (f"{w} {' '.join(f'{number:.4f}' for number in model.wv[w])}\n" for w in words)
    return f"{len(words)} {DIM}\n{''.join(rows)}"


@click.command()
@click.option("--seed", default=SEED, show_default=True)
@click.option("--check", is_flag=True, help="Write nothing; fail if the trees differ.")
def main(seed: int, check: bool) -> None:
    """Write the bundled sample again."""
    splits = make_trees(seed)
    for split, trees in splits.items():
        path = FOLDER / f"{split}.txt"
        if check:
            if path.read_text("utf-8") != as_text(trees):
                raise click.ClickException(f"{path} differs from what seed {seed} gives.")
        else:
            files.write_text(path, as_text(trees))
        labels = [tree.label for tree in trees]
        counts = " / ".join(str(labels.count(label)) for label in range(CLASSES))
        click.echo(f"{split}: {len(trees)} reviews, {counts} of {', '.join(treebank.LABEL_NAMES)}")
    if not check:
        files.write_text(FOLDER / "vectors.txt", make_vectors(splits["train"], seed))


if __name__ == "__main__":
    main()
