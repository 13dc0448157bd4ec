import numpy as np
import pytest

from sst_keras.config import load_pipeline
from sst_keras.corpora import load_corpus
from sst_keras.errors import UsageError
from sst_keras.lexicon import NO_VECTORS_NOTE, Lexicon


def build(tree_folder, *settings, data_dir=None):
    settings = ["embedding.vectors=none", "embedding.dim=8", *settings]
    pipeline = load_pipeline("lstm-attention", [f"data.dataset='{tree_folder}'", *settings])
    return Lexicon.build(pipeline, load_corpus(pipeline.data), data_dir)


def test_without_vectors_there_are_only_training_words(tree_folder):
    (tree_folder / "test.txt").write_text("(4 unseen)\n")
    lexicon = build(tree_folder, "data.min_count=1")
    assert lexicon.vocabulary.tokens == ("<pad>", "<unk>", "a", "film", "bad", "great")
    assert lexicon.matrix is None and lexicon.sources == ()
    assert lexicon.vector_names == ("none",)
    # Rarer words become the unknown word.
    assert build(tree_folder).vocabulary.tokens == ("<pad>", "<unk>", "a", "film")


def test_case_is_kept_if_asked(tree_folder):
    tokens = build(tree_folder, "data.min_count=1", "data.lowercase=false").vocabulary.tokens
    assert "A" in tokens and "a" not in tokens


def test_words_with_vectors_join(tree_folder, tmp_path):
    vectors = tmp_path / "mine.txt"
    vectors.write_text("The 1 2\nfilm 3 4\nunseen 5 6\nrarest 7 8\n")
    (tree_folder / "test.txt").write_text("(4 (2 unseen) (2 unheard))\n")
    lexicon = build(tree_folder, f"embedding.vectors=['{vectors}']", "data.vector_words=2")
    # Training words that have a vector or are frequent enough, then words of dev and test that have
    # one, then the vectors' most frequent. "rarest" is none of these, "unheard" has no vector.
    assert lexicon.vocabulary.tokens == ("<pad>", "<unk>", "a", "film", "unseen", "the")
    np.testing.assert_array_equal(lexicon.matrix[[0, 3, 4, 5]], [[0, 0], [3, 4], [5, 6], [1, 2]])
    (source,) = lexicon.sources
    assert source.to_dict()["name"] == "mine" and source.to_dict()["dim"] == 2
    assert source.coverage.splits["test"]["tokens_found"] == 0.5


def test_sets_that_cover_nothing_stop_the_run(tree_folder, tmp_path):
    rows = "".join(f"/c/en/{word} 1 2\n" for word in ("a", "film", "great", "bad"))
    path = tmp_path / "mine.txt"
    path.write_text(f"{rows}/c/de/film 3 4\n")
    with pytest.raises(UsageError) as error:
        build(tree_folder, f"embedding.vectors=['{path}']")
    assert error.value.setting == "embedding.vectors"
    assert error.value.message == (
        "mine has vectors for 0.0% of the texts' words. The file has '/c/en/film'; the texts have "
        "'film'. The file writes its words as /c/en/{word}: use --set "
        "'embedding.key_pattern=/c/en/{word}'."
    )
    pattern = "embedding.key_pattern=/c/en/{word}"
    lexicon = build(tree_folder, f"embedding.vectors=['{path}']", pattern)
    assert lexicon.vocabulary.tokens == ("<pad>", "<unk>", "a", "film", "bad", "great")
    assert lexicon.matrix[2:].tolist() == [[1, 2]] * 4
    assert lexicon.notes == ("mine: passed over 1 words that are not /c/en/{word}.",)
    assert lexicon.sources[0].to_dict()["other_keys"] == 1


def test_doubtful_sets_and_blank_words_are_noted(tree_folder, tmp_path):
    (tmp_path / "mine.txt").write_text("great 1 2\nxyz 1 2\nzyx 1 2\n  5 6\n")
    lexicon = build(tree_folder, f"embedding.vectors=['{tmp_path / 'mine.txt'}']")
    doubt, blank = lexicon.notes  # 3 of the 15 words are "great"
    assert doubt.startswith("mine has vectors for 20.0% of the texts' words. The file has 'great'")
    assert blank == "mine: passed over 1 rows whose word is blank."
    assert lexicon.sources[0].to_dict()["blank"] == 1
    assert not any(token.isspace() or not token for token in lexicon.vocabulary.tokens)


def test_what_a_saved_pipeline_names_sets_by(tree_folder, tmp_path, monkeypatch):
    vectors = tmp_path / "data" / "vectors"
    vectors.mkdir(parents=True)
    for path in (vectors / "known.txt", tmp_path / "own.txt"):
        path.write_text("film 1 2\na 3 4\n")
    monkeypatch.chdir(tmp_path)
    lexicon = build(
        tree_folder, "embedding.vectors=['known', 'own.txt']", data_dir=tmp_path / "data"
    )
    assert lexicon.vector_names == ("known", "own")
    assert lexicon.vector_references == ("known", str(tmp_path / "own.txt"))
    assert build(tree_folder).vector_references == ("none",)


def test_several_sets_are_concatenated(tree_folder, tmp_path):
    for name, row in (("one", "film 1 2"), ("two", "film 3 4 5")):
        (tmp_path / f"{name}.txt").write_text(f"{row}\n")
    paths = f"['{tmp_path / 'one.txt'}', '{tmp_path / 'two.txt'}']"
    lexicon = build(tree_folder, f"embedding.vectors={paths}")
    row = lexicon.matrix[lexicon.vocabulary.tokens.index("film")]
    np.testing.assert_array_equal(row, [1, 2, 3, 4, 5])
    assert lexicon.vector_names == ("one", "two")


def test_errors(tree_folder):
    for vectors in ("auto", "['none', 'sample']"):
        with pytest.raises(UsageError) as error:
            build(tree_folder, f"embedding.vectors={vectors}")
        assert error.value.setting == "embedding.vectors"


def test_auto_takes_the_set_with_the_highest_coverage(tree_folder, tmp_path):
    vectors = tmp_path / "data" / "vectors"
    vectors.mkdir(parents=True)
    (vectors / "few.txt").write_text("film 1 2\n")
    (vectors / "many.txt").write_text("film 1 2\ngreat 3 4\nbad 5 6\n")
    lexicon = build(tree_folder, "embedding.vectors=auto", data_dir=tmp_path / "data")
    assert lexicon.vector_names == ("many",)


def test_the_sample_has_vectors_of_its_own():
    pipeline = load_pipeline("lstm-attention", ["data.dataset=sample"])
    lexicon = Lexicon.build(pipeline, load_corpus(pipeline.data))
    assert lexicon.vector_names == ("sample",)


def test_auto_data_do_without_vectors(tree_folder, monkeypatch):
    # As if SST-5 were available but no vectors.
    from sst_keras import corpora

    read = corpora._read_trees
    files = {name: tree_folder / f"{name}.txt" for name in corpora.SPLITS}
    monkeypatch.setattr(corpora.sst5_source, "is_available", lambda data_dir: True)
    monkeypatch.setattr(corpora, "_read_sst5", lambda *_: read(files, "sst5", False))
    lexicon = build("auto", "embedding.vectors=auto")
    assert lexicon.vector_names == ("none",)
    assert lexicon.notes == (NO_VECTORS_NOTE,)


def test_vectors_reduced_to_fewer_numbers(tree_folder, tmp_path):
    vectors = tmp_path / "mine.txt"
    # Three directions, of which the first and the second are the longest.
    vectors.write_text("a 4 0 0.01\nfilm 0 3 0.02\ngreat 4 3 0.01\nbad -4 3 0\n")
    settings = [f"embedding.vectors=['{vectors}']", "data.vector_words=0"]
    whole = build(tree_folder, *settings).matrix
    reduced = build(tree_folder, *settings, "embedding.reduce=2").matrix
    assert reduced.shape == (len(whole), 2) and reduced.dtype == np.float32
    np.testing.assert_array_equal(reduced[0], 0)
    # What the words have in common stays.
    np.testing.assert_allclose(reduced @ reduced.T, whole @ whole.T, atol=0.5)
    for numbers in (4, 1000):
        with pytest.raises(UsageError, match=f"at most the 3 numbers.*Received: {numbers}"):
            build(tree_folder, *settings, f"embedding.reduce={numbers}")


def test_there_must_be_vectors_to_reduce(tree_folder):
    lexicon = build(tree_folder, "embedding.reduce=4")
    assert lexicon.matrix is None  # the setting is not read, which training reports
