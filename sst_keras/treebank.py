"""Penn-bracketed sentiment trees: text → `Tree` → `Example`, and the names of their classes.

A line such as `(3 (2 It) (4 (4 's) (4 wonderful)))` is a binary tree. Every node is a span of the
sentence and has a label from 0 (very negative) to 4 (very positive). Source: Socher et al.,
"Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank", EMNLP 2013.
"""

import codecs
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sst_keras.errors import InputError
from sst_keras.packed import open_unpacked

LABEL_NAMES = ("very negative", "negative", "neutral", "positive", "very positive")
_ESCAPES = {"-LRB-": "(", "-RRB-": ")"}  # brackets are the treebank's own syntax
_UNESCAPES = {plain: escaped for escaped, plain in _ESCAPES.items()}
_BINARY_NAMES = ("negative", "positive")
# Tokens are split only at ASCII white space: some contain a no-break space ("8\u00a01/2").
_PIECES = re.compile(r"\(|\)|[^() \t\r\n]+")
# What parsers print around a tree: `(ROOT (3 ...))`, `( (3 ...))`.
_WRAPPERS = ("ROOT", "TOP", "S1")
_WRAPPER = re.compile(
    rf"(\s*+\(\s*+(?:(?:{'|'.join(_WRAPPERS)})\s*+)?)(\(.*\))\s*+\)\s*+",
    re.DOTALL | re.IGNORECASE,
)  # `*+` never gives back what it took, so a long run of spaces costs no more than its length.
_LABELS = ("0", "1", "2", "3", "4")
_DEEPEST = 500  # the treebank is nested less than 60 deep; the bound keeps recursion safe


def unescape(token: str) -> str:
    r"""Returns `token` as in ordinary text: `-LRB-` → `(`, `\/` → `/`, `\*` → `*`."""
    return _ESCAPES.get(token, token).replace("\\/", "/").replace("\\*", "*")


def escape(token: str) -> str:
    r"""Returns `token` as in the treebank: `(` → `-LRB-`, `/` → `\/`, `*` → `\*`."""
    return _UNESCAPES.get(token, token).replace("/", "\\/").replace("*", "\\*")


@dataclass(frozen=True, slots=True)
class Example:
    """A text, as at least one token without treebank escapes, and its class, from 0.

    `is_root` is whether the text is a complete sentence rather than a span of one.
    """

    tokens: tuple[str, ...]
    label: int
    is_root: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """A node of a sentiment tree: a leaf with a `token`, or an inner node with `children`.

    Its label is from 0 to 4. A token has no treebank escapes. Children are ordered left to right.
    """

    label: int
    token: str | None = None
    children: tuple["Tree", ...] = ()

    def examples(self) -> Iterator[Example]:
        """Yields every labelled span: the sentence, then its parts from left to right."""
        spans: list[tuple[Tree, int, int]] = []
        tokens = tuple(_walk(self, 0, spans))
        for node, start, end in spans:
            yield Example(tokens[start:end], node.label, is_root=node is self)

    def root_example(self) -> Example:
        """Returns the complete sentence as an example."""
        return Example(tuple(_walk(self, 0, [])), self.label)

    def __str__(self) -> str:
        """Returns the bracketed form that `parse_tree` reads."""
        inside = escape(self.token) if self.token is not None else " ".join(map(str, self.children))
        return f"({self.label} {inside})"


def _walk(tree: Tree, start: int, spans: list[tuple[Tree, int, int]]) -> list[str]:
    """Returns the tokens below `tree`, and appends each node with its span to `spans`."""
    place = len(spans)
    spans.append((tree, start, start))
    tokens = [] if tree.token is None else [tree.token]
    for child in tree.children:
        tokens += _walk(child, start + len(tokens), spans)
    spans[place] = (tree, start, start + len(tokens))
    return tokens


def parse_tree(text: str, source: str = "tree", number: int = 1) -> Tree:
    """Reads one bracketed tree, which may extend over several lines.

    A ROOT, TOP or S1, or a bracket without a label, around the tree is passed over.

    Args:
        text: The tree.
        source: What errors name, such as `train.txt, line 7`.
        number: The number of the text's first line.

    Raises:
        InputError: If the text is not a complete tree with labels from 0 to 4. The message starts
            with `source`, and names the line of the problem if it is a later one.
    """
    bare = _without_wrapper(text)
    place = 0  # of the current piece

    def error(problem: str) -> InputError:
        pieces = [match.start() for match in _PIECES.finditer(bare)]
        later = bare.count("\n", 0, pieces[place]) if pieces else 0
        where = f" (line {number + later})" if later else ""
        shown = text if "\n" not in text else " ".join(text[:400].split())
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        expected = "Expected a tree such as (3 (2 It) (4 works)), labels 0 to 4"
        return InputError(f"{source}: {problem}{where}. {expected}. Received: {shown!r}")

    # Each open bracket's [label, token, children]; the first entry is the line itself.
    stack: list[list] = [[None, None, []]]
    for place, piece in enumerate(_PIECES.findall(bare)):  # noqa: B007, errors read place
        label, token, children = stack[-1]
        if piece == "(":
            if len(stack) > 1 and (label is None or token is not None):
                raise error("a bracket opens where a label or a closing bracket was expected")
            if len(stack) > _DEEPEST:
                raise error(f"brackets are nested more than {_DEEPEST} deep")
            stack.append([None, None, []])
        elif piece == ")":
            if len(stack) == 1:
                raise error("a bracket closes that never opened")
            if token is None and not children:
                raise error("a node has no token and no children")
            stack.pop()
            stack[-1][2].append(Tree(label, token, tuple(children)))
        elif len(stack) == 1:
            raise error(f"text outside of brackets: {piece!r}")
        elif label is None:
            if piece not in _LABELS:
                missing = text.count("(") - text.count(")")
                if piece.upper() in _WRAPPERS and missing > 0:
                    raise error(f"the tree is cut off: {missing} brackets are not closed")
                raise error(f"the label {piece!r} is not one of 0, 1, 2, 3, 4")
            stack[-1][0] = int(piece)
        elif token is None and not children:
            stack[-1][1] = unescape(piece)
        else:
            raise error(f"the token {piece!r} is where a closing bracket was expected")
    if len(stack) > 1:
        raise error(f"the tree is cut off: {len(stack) - 1} brackets are not closed")
    if len(stack[0][2]) != 1:
        raise error(f"expected one tree, found {len(stack[0][2])}")
    return stack[0][2][0]


def _without_wrapper(text: str) -> str:
    """Returns the text within a ROOT, TOP or S1, or a bracket without a label, line by line."""
    for _ in range(_DEEPEST):
        if not (wrapped := _WRAPPER.fullmatch(text)):
            break
        text = "\n" * wrapped[1].count("\n") + wrapped[2]
    return text


def read_trees(path: Path | zipfile.Path) -> Iterator[Tree]:
    """Yields the trees of a file in UTF-8, or in UTF-16 with its mark. Blank lines are skipped.

    A tree may extend over several lines. Its first line then has no closing bracket, or the other
    lines are indented, so that a tree that is cut off does not take in the next one.

    Raises:
        InputError: If a tree cannot be read, or the file is not UTF-8; the message names the file
            and the line.
    """
    lines: list[str] = []
    start = depth = 0
    for number, line in enumerate(_lines(path), start=1):
        is_blank = not line.strip(" \t\r")
        is_next = bool(lines) and line.startswith("(") and ")" in lines[0]
        if lines and (is_blank or is_next):
            break  # The brackets do not close.
        if is_blank:
            continue
        if not lines:
            start = number
        lines.append(line)
        depth += line.count("(") - line.count(")")
        if depth <= 0:
            yield parse_tree("\n".join(lines), f"{path}, line {start}", start)
            lines, depth = [], 0
    if lines:  # which raises the error
        yield parse_tree("\n".join(lines), f"{path}, line {start}", start)


def _lines(path: Path | zipfile.Path) -> Iterator[str]:
    """Yields a file's lines without their line breaks and without a byte order mark."""
    with open_unpacked(path) if isinstance(path, Path) else path.open("rb") as file:
        content = file.read()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            content = content.decode("utf-16").encode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-16, as its mark says ({error.reason}).") from None
    for number, raw in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        try:
            yield raw.decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, line {number}: not UTF-8 ({error.reason} at byte {error.start}). "
                f"Save the file as UTF-8, for example: iconv -f windows-1252 -t utf-8 FILE"
            ) from None


def class_names(trees: Mapping[str, Sequence[Tree]], labels: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the names of the classes of a data set, lowest first.

    They are `LABEL_NAMES`; or negative and positive if all labels are 0 or 1 and complete sentences
    have both, as in the binary form of the treebank; or `labels`.

    Args:
        trees: Split → its trees.
        labels: The names that a user gives to the labels 0, 1 and so on; empty if none.

    Raises:
        InputError: If a label has no name in `labels`. Without them, if no label is above 2 and
            the trees are not of the binary form: the labels may then be those of fewer classes.
    """
    found = (label for split in trees.values() for tree in split for label in _labels(tree))
    if not labels:
        highest = 0
        for label in found:
            highest = max(highest, label)
            if highest > len(_BINARY_NAMES):  # The rest does not matter.
                return LABEL_NAMES
        roots = {tree.label for split in trees.values() for tree in split}
        if highest < len(_BINARY_NAMES) and roots == {0, 1}:
            return _BINARY_NAMES
        raise InputError(
            f"expected trees with labels from 0 to 4, or sentences labelled 0 and 1. No label is "
            f"above {highest}, so that the names of the classes are not certain. Give them, lowest "
            f"first: {', '.join(LABEL_NAMES)}; or negative, neutral, positive.",
            setting="data.labels",
        )
    highest = max(found, default=0)
    if highest >= len(labels):
        raise InputError(
            f"expected labels from 0 to {len(labels) - 1}, as there are {len(labels)} names: "
            f"{', '.join(labels)}. The trees have the label {highest}.",
            setting="data.labels",
        )
    return tuple(labels)


def _labels(tree: Tree) -> Iterator[int]:
    """Yields the label of each node."""
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        yield node.label
        nodes += node.children
