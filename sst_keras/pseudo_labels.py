"""A folder of sentences that runs have labelled with their probabilities, to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sst_keras import files
from sst_keras.errors import InputError, UsageError
from sst_keras.fields import Range, check_fields, other_format
from sst_keras.runs import RUNS_DIR, file_of, lasting_name, places

if TYPE_CHECKING:
    import numpy as np

    from sst_keras.texts import Texts

# Raise it when this version would misread a folder of the earlier format.
FORMAT = 1
_CORPUS = {"name": str, "fingerprint?": str, "labels?": [str]}
# What a run has learned from, such as a teacher, and what that has learned from in turn.
_LEARNED_FROM: dict[str, Any] = {
    "dataset?": str, "vectors?": [{"name": str, "dim": int, "fingerprint?": str}],
}  # fmt: skip
_NAMED = {
    "name": str, "fingerprint?": str, "corpus?": _CORPUS, "settings?": dict,
    "teachers?": {"names?": [str], "sources?": [_LEARNED_FROM]},
}  # fmt: skip
_MEMBER = {"pipeline": str, "seed": int}
_LEARNED_FROM |= dict.fromkeys(("language_model?", "pseudo_labels?", "earlier_run?"), _NAMED)
_LEARNED_FROM["members?"] = [_MEMBER]
_NAMED |= _LEARNED_FROM
_MEMBER |= _NAMED
# What `pseudo_labels.json` must have.
_ABOUT = {
    "settings": {"document_labels?": bool}, "corpus": _CORPUS,
    "teachers": {"names": [str], "fingerprints?": [str], "sources?": [_LEARNED_FROM]},
    "class_names": [str], "lowercase": bool, "sentences": Range(1, 2**53),
}  # fmt: skip
_AGAIN = "Run `sst-keras label` again in another folder, or copy the original here."


@dataclass(frozen=True)
class PseudoLabels:
    """A folder that `sst-keras label` makes. It can be copied anywhere."""

    path: Path

    about_file = file_of("pseudo_labels.json", "Format, settings, corpus, teachers, classes.")
    sentences_file = file_of("sentences.npz", "Words, sentences, probabilities; written last.")

    def teacher_file(self, number: int) -> Path:
        """The probabilities of one teacher, from 1; removed once the folder is finished."""
        return self.path / f"teacher-{number}.npz"

    @property
    def is_finished(self) -> bool:
        """Whether all teachers have labelled all sentences."""
        return self.sentences_file.is_file()

    @property
    def lasting_name(self) -> str:
        """What finds it from any folder: its name below `saved_models/`, or its full path."""
        return lasting_name(self.path)

    def about(self) -> dict[str, Any]:
        """Reads `pseudo_labels.json`; one of another format, or that is damaged: `InputError`."""
        about = files.read_sealed_json(self.about_file)
        if about.get("format") != FORMAT:
            raise InputError(other_format(self.about_file, FORMAT, about.get("format")))
        check_fields(about, _ABOUT, str(self.about_file), _AGAIN)
        return about

    @property
    def fingerprint(self) -> str:
        """The sha256 of the file of sentences."""
        return files.sha256(self.sentences_file)

    def read(self) -> tuple[Texts, np.ndarray]:
        """Returns the sentences, and their probabilities float32[sentences, classes].

        A damaged file raises an `InputError`.
        """
        import numpy as np

        from sst_keras.texts import Texts, Words

        arrays = files.read_arrays(self.sentences_file)
        try:
            for name, kind in {"ids": "i", "starts": "i", "probabilities": "f"}.items():
                if arrays[name].dtype.kind != kind:
                    raise ValueError(f"Its {name} are {arrays[name].dtype}.")
            words = arrays["words"].tobytes().removesuffix(b"\n").split(b"\n")
            texts = Texts(Words(np.array(words, object)), arrays["ids"], arrays["starts"])
            probabilities = arrays["probabilities"]
            if probabilities.shape != (len(texts), len(self.about()["class_names"])):
                raise ValueError(f"It has probabilities of shape {probabilities.shape}.")
            if not 0 <= texts.ids.min() <= texts.ids.max() < len(words):
                raise ValueError("It has numbers of words that it does not have.")
            if (
                texts.starts[0] != 0
                or texts.starts[-1] != len(texts.ids)
                or ((texts.lengths < 1).any())
            ):
                raise ValueError("Its sentences do not fit its words.")
            if not (probabilities >= 0).all() or abs(probabilities.sum(axis=1) - 1).max() > 1e-3:
                raise ValueError("It has values that are not probabilities.")
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise InputError(
                f"{self.sentences_file}: expected labelled sentences. {error} {_AGAIN}"
            ) from None
        return texts, probabilities

    def seen_by_teachers(self) -> np.ndarray:
        """Returns uint64[texts], the keys of the texts that the teachers were trained on.

        It is empty for a folder that does not say it, such as those of earlier versions.
        """
        import numpy as np

        return files.read_arrays(self.sentences_file).get("seen", np.empty(0, np.uint64))

    def to_dict(self) -> dict[str, Any]:
        """Returns name, corpus, teachers and fingerprint, for what learns from it."""
        about = self.about()
        found = {key: about[key] for key in ("corpus", "teachers", "settings", "sentences")}
        return {"name": self.lasting_name, **found, "fingerprint": self.fingerprint}

    def summary(self) -> dict[str, Any]:
        """Returns the folder's name, corpus, teachers and size."""
        about = self.about()
        return {
            "run": self.lasting_name,
            "path": str(self.path),
            "corpus": about["corpus"]["name"],
            "teachers": about["teachers"]["names"],
            "sentences": about["sentences"],
            "finished": self.is_finished,
        }

    @classmethod
    def find(cls, path: str | Path) -> Self:
        """Returns the finished folder at `path` or `saved_models/<path>`; else: `UsageError`."""
        for folder in places(path):
            found = cls(folder)
            if found.about_file.is_file():
                if found.is_finished:
                    return found
                raise UsageError(
                    f"the pseudo-labels {str(path)!r} are not finished. Run the command that "
                    f"started them again: it goes on.",
                    setting="data.pseudo_labels",
                )
        raise UsageError(
            f"there are no pseudo-labels {str(path)!r}. Expected a folder that `sst-keras label "
            f"CORPUS --teacher RUN --out {path}` makes.",
            setting="data.pseudo_labels",
        )


def find_pseudo_labels(folder: str | Path = RUNS_DIR) -> Iterator[PseudoLabels]:
    """Returns the pseudo-labels below a folder, finished or not, sorted by name."""
    return map(PseudoLabels, files.folders_with("pseudo_labels.json", folder))
