"""Penn-bracketed sentiment trees: one line → `Tree` → `Example`.

A line such as `(3 (2 It) (4 (4 's) (4 wonderful)))` is a binary tree. Every node is a span of the
sentence and has a label from 0 (very negative) to 4 (very positive). Source: Socher et al.,
"Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank", EMNLP 2013.
"""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sst_keras.errors import InputError

LABEL_NAMES = ("very negative", "negative", "neutral", "positive", "very positive")
_ESCAPES = {"-LRB-": "(", "-RRB-": ")"}  # brackets are the treebank's own syntax
_UNESCAPES = {plain: escaped for escaped, plain in _ESCAPES.items()}
# Tokens are split only at the ASCII space: some contain a no-break space ("8\u00a01/2").
_PIECES = re.compile(r"\(|\)|[^() ]+")
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


def parse_tree(line: str, source: str = "tree") -> Tree:
    """Reads one bracketed tree from a line without its line break.

    Raises:
        InputError: If the line is not a complete tree with labels from 0 to 4. The message starts
            with `source`, such as `train.txt, line 7`.
    """

    def error(problem: str) -> InputError:
        shown = line if len(line) <= 60 else line[:57] + "..."
        expected = "Expected a tree such as (3 (2 It) (4 works)), labels 0 to 4"
        return InputError(f"{source}: {problem}. {expected}. Received: {shown!r}")

    # Each open bracket's [label, token, children]; the first entry is the line itself.
    stack: list[list] = [[None, None, []]]
    for piece in _PIECES.findall(line):
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
            if piece not in ("0", "1", "2", "3", "4"):
                raise error(f"the label {piece!r} is not one of 0, 1, 2, 3, 4")
            stack[-1][0] = int(piece)
        elif token is None and not children:
            stack[-1][1] = unescape(piece)
        else:
            raise error(f"the token {piece!r} is where a closing bracket was expected")
    if len(stack) > 1:
        raise error(f"the tree is cut off: {len(stack) - 1} brackets are not closed")
    if len(stack[0][2]) != 1:
        raise error(f"expected one tree on the line, found {len(stack[0][2])}")
    return stack[0][2][0]


def read_trees(path: Path | zipfile.Path) -> Iterator[Tree]:
    """Yields the trees of a UTF-8 file with one tree per line. Blank lines are skipped.

    Raises:
        InputError: If a line is not a tree or not UTF-8; the message names the file and the line.
    """
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}, line {number}: not UTF-8 ({error.reason} at byte {error.start}). "
                    f"Save the file as UTF-8, for example: iconv -f latin1 -t utf-8 FILE"
                ) from None
            if line.strip(" "):
                yield parse_tree(line, f"{path}, line {number}")
