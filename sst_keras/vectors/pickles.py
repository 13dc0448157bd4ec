"""What gensim's `save` writes, read without running code from it.

The format is Python's pickle, which can call any function. Here it can build NumPy's arrays and
nothing else: every other class that it names becomes an `_Inert`, which keeps attributes only.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from sst_keras.packed import open_gzip

# Module → the names that build arrays. NumPy 2 has renamed `numpy.core`.
_MULTIARRAY, _NUMERIC = ("_reconstruct", "scalar"), ("_frombuffer",)
_ARRAYS = {
    "numpy": ("ndarray", "dtype"),
    "numpy.core.multiarray": _MULTIARRAY,
    "numpy._core.multiarray": _MULTIARRAY,
    "numpy.core.numeric": _NUMERIC,
    "numpy._core.numeric": _NUMERIC,
    "_codecs": ("encode",),  # how older protocols write bytes
    "__builtin__": ("bytearray",),
    "builtins": ("bytearray",),
}
# How a set calls its words and its vectors, the present names first.
_WORDS = ("index_to_key", "index2word", "index2entity")
_VECTORS = ("vectors", "syn0")


class _Inert:
    """Stands for an object of a class that is not built: it has its attributes and no behaviour."""

    kind = "object"

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        parts = state if isinstance(state, tuple) else (state,)
        self.attributes = {
            str(name): value
            for part in parts
            if isinstance(part, dict)
            for name, value in part.items()
        }

    def append(self, item: Any) -> None:
        """Takes an item of a list, which is not kept."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Takes an entry of a mapping, which is not kept."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _ARRAYS.get(module, ()):
            return super().find_class(module, name)
        return type("_Inert", (_Inert,), {"kind": name})


def read_keyed(path: Path) -> tuple[list[str], np.ndarray]:
    """Reads the words and the float[words, dim] vectors of gensim's KeyedVectors.

    A complete model, such as Word2Vec, has them in `wv`. Arrays that gensim wrote into files of
    their own, `<path>.*.npy`, stay on disk.

    Raises:
        Exception: Of any kind, if the file is damaged or holds something else.
    """
    is_packed = path.suffix == ".gz"
    with open_gzip(path) if is_packed else path.open("rb") as file:
        # Python 2 wrote text as bytes.
        saved = _ArrayUnpickler(file, encoding="latin1").load()
    keyed, stem = saved, str(path)
    if isinstance(saved, _Inert) and "wv" in saved.attributes:
        keyed, stem = saved.attributes["wv"], f"{path}.wv"
    if not isinstance(keyed, _Inert):
        raise TypeError(f"it holds a {type(saved).__name__}")
    for name in keyed.attributes.get("__numpys", ()):
        keyed.attributes[name] = _array_beside(stem, name, is_packed)
    words = next((keyed.attributes[name] for name in _WORDS if name in keyed.attributes), None)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"it holds a {saved.kind}")
    vectors = next((keyed.attributes.get(name) for name in _VECTORS if name in keyed.attributes), 0)
    if "vectors_ngrams" in keyed.attributes:
        vectors = _composed(keyed.attributes, words)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise TypeError("its vectors are not a matrix of numbers")
    if len(words) != len(vectors):
        raise ValueError(f"it has {len(words):,} words and {len(vectors):,} vectors")
    return words, vectors


def _array_beside(stem: str, name: Any, is_packed: bool) -> np.ndarray:
    """Reads an array that gensim wrote into a file of its own."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"it names {name!r}, which is no attribute")
    if not is_packed:
        return np.load(f"{stem}.{name}.npy", mmap_mode="r", allow_pickle=False)
    with np.load(f"{stem}.{name}.npz", allow_pickle=False) as arrays:
        return arrays["val"]


def _composed(attributes: dict[str, Any], words: list[str]) -> np.ndarray:
    """Returns fastText's vectors: gensim saves those of words and of n-grams, and adds them up."""
    from gensim.models.fasttext import FastTextKeyedVectors

    if attributes.get("compatible_hash") is False:
        raise TypeError("it is from before gensim 3.8")
    parts = attributes["vectors_vocab"], attributes["vectors_ngrams"]
    sizes = [int(attributes[name]) for name in ("min_n", "max_n", "bucket")]
    if sizes[2] != len(parts[1]) or len(words) != len(parts[0]):
        raise ValueError("its numbers of words or n-grams differ")
    keyed = FastTextKeyedVectors(parts[0].shape[1], *sizes)
    keyed.index_to_key = words
    keyed.key_to_index = {word: index for index, word in enumerate(words)}
    keyed.vectors_vocab, keyed.vectors_ngrams = parts
    keyed.recalc_char_ngram_buckets()
    keyed.adjust_vectors()
    return keyed.vectors
