"""What gensim's `save` writes, read without running code from it.

The format is Python's pickle, a program that can call any function. Here, its instructions are
followed only as far as they state data. A call is not made: it becomes a `_Call`, and those that
make an array of numbers in NumPy's own pickles are recognized.
"""

import math
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from sst_keras.packed import check_zip, open_gzip

# How a set calls its words and its vectors, the present names first.
_WORDS = ("index_to_key", "index2word", "index2entity")
_VECTORS = ("vectors", "syn0")
_NUMBERS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"}  # dtypes
_MULTIARRAY = {"numpy.core.multiarray", "numpy._core.multiarray"}
_NUMERIC = {"numpy.core.numeric", "numpy._core.numeric"}
_EMPTY_BYTES = {("__builtin__", "bytes"), ("builtins", "bytes")}  # of older protocols
_LARGEST = 1 << 40  # numbers in a row or column
_LONGEST_NGRAM, _LONGEST_WORD = 20, 10_000  # characters; fastText has n-grams of 3 to 6
_MOST_NGRAMS = 1 << 28  # which take minutes; two million words of usual lengths have a quarter
# Instructions that state a value, which `pickletools` has read.
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list,
    "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple, "EMPTY_SET": list,
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(NamedTuple):
    """A class or function that a pickle names. It is never imported."""

    module: str
    name: str


class _Call:
    """An object that a pickle would make by a call, and the state that it would give to it."""

    def __init__(self, function: Any, arguments: Any) -> None:
        self.function, self.arguments, self.state = function, arguments, None

    @property
    def name(self) -> str:
        """The name of the class or function."""
        return self.function.name if isinstance(self.function, _Name) else "object"

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes that the object would have."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        return {name: part[name] for part in parts if isinstance(part, dict) for name in part}


def read_keyed(path: Path) -> tuple[list[str], np.ndarray]:
    """Reads the words and the float[words, dim] vectors of gensim's KeyedVectors.

    A complete model, such as Word2Vec, has them in `wv`. Arrays that gensim wrote into files of
    their own, `<path>.*.npy`, stay on disk.

    Raises:
        Exception: Of any kind, if the file is damaged or holds something else.
    """
    is_packed = path.suffix == ".gz"
    with open_gzip(path) if is_packed else path.open("rb") as file:
        saved = _data(file)
    if not isinstance(saved, _Call):
        raise TypeError(f"it holds a {type(saved).__name__}")
    keyed, stem = saved, str(path)
    if isinstance(saved.attributes.get("wv"), _Call):
        keyed, stem = saved.attributes["wv"], f"{path}.wv"
    found = dict(keyed.attributes)
    beside = found.get("__numpys", ())
    for name in (*_VECTORS, "vectors_vocab", "vectors_ngrams"):
        if name in beside:
            found[name] = _array_beside(f"{stem}.{name}", is_packed)
    words = next((found[name] for name in _WORDS if name in found), None)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"it holds a {saved.name}")
    if max(map(len, words), default=0) > _LONGEST_WORD:
        raise ValueError(f"it has a word of more than {_LONGEST_WORD:,} characters")
    if "vectors_ngrams" in found:
        vectors = _composed(found, words)
    else:
        vectors = _array(next((found[name] for name in _VECTORS if name in found), None))
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise TypeError("its vectors are not a matrix of numbers")
    if len(words) != len(vectors):
        raise ValueError(f"it has {len(words):,} words and {len(vectors):,} vectors")
    return words, vectors


def _data(file: BinaryIO) -> Any:
    """Returns the data that a pickle states."""
    stack: list[Any] = []
    below: list[list[Any]] = []  # the stacks under each mark
    memo: dict[int, Any] = {}

    def marked() -> list[Any]:
        nonlocal stack
        items, stack = stack, below.pop()
        return items

    for opcode, value, _ in pickletools.genops(file):
        name = opcode.name
        if name in _VALUES:
            stack.append(value)
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(memo[int(value)])
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(value)] = stack[-1]
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name == "MARK":
            below.append(stack)
            stack = []
        elif name == "APPEND":
            item = stack.pop()
            _extend(stack[-1], [item])
        elif name in ("APPENDS", "ADDITEMS"):
            items = marked()
            _extend(stack[-1], items)
        elif name == "SETITEM":
            item, key = stack.pop(), stack.pop()
            _update(stack[-1], [key, item])
        elif name == "SETITEMS":
            items = marked()
            _update(stack[-1], items)
        elif name in _TUPLES:
            size = _TUPLES[name]
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "TUPLE":
            items = marked()
            stack.append(tuple(items))
        elif name in ("LIST", "FROZENSET"):
            items = marked()
            stack.append(items)
        elif name == "DICT":
            items, table = marked(), {}
            _update(table, items)
            stack.append(table)
        elif name == "GLOBAL":
            stack.append(_Name(*value.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            parts = stack[-2:]
            if not all(isinstance(part, str) for part in parts):  # another would not be hashable
                raise ValueError("it names something by what is no text")
            stack[-2:] = [_Name(*parts)]
        elif name in ("REDUCE", "NEWOBJ"):
            arguments = stack.pop()
            stack[-1] = _Call(stack[-1], arguments)
        elif name == "NEWOBJ_EX":
            del stack[-1]
            arguments = stack.pop()
            stack[-1] = _Call(stack[-1], arguments)
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], _Call):
                stack[-1].state = state
        elif name == "POP":
            stack.pop()
        elif name == "POP_MARK":
            marked()
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"it has the instruction {name}, which no set of vectors needs")
    raise EOFError("it is cut off")


def _extend(items: Any, more: list[Any]) -> None:
    if isinstance(items, list):  # other containers are not needed
        items += more


def _update(table: Any, items: list[Any]) -> None:
    if isinstance(table, dict):
        pairs = zip(items[::2], items[1::2], strict=True)
        table.update((key, value) for key, value in pairs if isinstance(key, str))


def _array(value: Any) -> np.ndarray:
    """Returns an array of numbers, or that of the call that would make it."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, _Call) or not isinstance(value.function, _Name):
        raise TypeError("it has no array of numbers")
    module, name = value.function
    if module in _MULTIARRAY and name == "_reconstruct":
        _, shape, dtype, is_fortran, content = value.state
        order = "F" if is_fortran else "C"
    elif module in _NUMERIC and name == "_frombuffer":
        content, dtype, shape, order = value.arguments
    else:
        raise TypeError(f"it has a {name} instead of an array")
    kind, content = _dtype(dtype), _bytes(content)
    is_shape = isinstance(shape, tuple) and len(shape) <= 2
    if not is_shape or not all(type(size) is int and 0 <= size <= _LARGEST for size in shape):
        raise ValueError("it has an array of another shape than that of vectors")
    if len(content) != kind.itemsize * math.prod(shape):
        raise ValueError(f"it has an array of {len(content):,} bytes for the shape {shape}")
    return np.frombuffer(content, kind).reshape(shape, order="F" if order == "F" else "C")


def _dtype(value: Any) -> np.dtype:
    if isinstance(value, _Call) and value.function == ("numpy", "dtype"):
        kind, order = value.arguments[0], value.state[1] if value.state else "="
        # What is no text could take forever to compare.
        are_texts = isinstance(kind, str) and isinstance(order, str)
        if are_texts and kind in _NUMBERS and order in ("<", ">", "=", "|"):
            return np.dtype(kind).newbyteorder("=" if order == "|" else order)
    raise TypeError("it has an array of something else than numbers")


def _bytes(value: Any) -> bytes:
    """Returns bytes; older protocols write them as text with a call."""
    if isinstance(value, _Call) and value.function == ("_codecs", "encode"):
        value, encoding = value.arguments
        if not isinstance(encoding, str) or encoding != "latin1":
            raise ValueError("it has bytes in an unusual encoding")
    elif (
        isinstance(value, _Call)
        and isinstance(value.function, _Name)  # something else could take forever to hash
        and value.function in _EMPTY_BYTES
        and value.arguments == ()
    ):
        return b""
    return value.encode("latin1") if isinstance(value, str) else bytes(memoryview(value))


def _array_beside(stem: str, is_packed: bool) -> np.ndarray:
    """Reads an array that gensim wrote into a file of its own."""
    if not is_packed:
        return np.load(f"{stem}.npy", mmap_mode="r", allow_pickle=False)
    path = Path(f"{stem}.npz")
    check_zip(path)
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["val"]


def _composed(found: dict[str, Any], words: list[str]) -> np.ndarray:
    """Returns fastText's vectors: gensim saves those of words and of n-grams, and adds them up."""
    from gensim.models.fasttext import FastTextKeyedVectors

    if found.get("compatible_hash") is not True:
        raise TypeError("it is from before gensim 3.8")
    parts = _array(found["vectors_vocab"]), _array(found["vectors_ngrams"])
    sizes = [int(found[name]) for name in ("min_n", "max_n", "bucket")]
    if sizes[2] != len(parts[1]) or len(words) != len(parts[0]) or parts[0].ndim != 2:
        raise ValueError("its numbers of words or n-grams differ")
    if not 0 <= sizes[0] <= sizes[1] <= _LONGEST_NGRAM:
        raise ValueError("its n-grams are too long")
    # A pickle repeats a word in 3 bytes, and each time, gensim would cut it into n-grams.
    if len(set(words)) < len(words):
        raise ValueError("it has a word several times")
    if (sizes[1] - sizes[0] + 1) * sum(map(len, words)) > _MOST_NGRAMS:
        raise ValueError(f"it has more than {_MOST_NGRAMS:,} n-grams")
    keyed = FastTextKeyedVectors(parts[0].shape[1], *sizes)
    keyed.index_to_key = words
    keyed.key_to_index = {word: index for index, word in enumerate(words)}
    keyed.vectors_vocab, keyed.vectors_ngrams = parts
    keyed.recalc_char_ngram_buckets()
    keyed.adjust_vectors()
    return keyed.vectors
