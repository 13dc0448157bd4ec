import shlex

import pytest

from sst_keras.vectors.keys import compile_pattern, diagnose

COUNTS = {"the": 9, "film": 3, "good": 2, "bad": 2, "well-made": 1, ".": 20, "a": 8}


def keys(*words):
    return [word.encode() for word in words]


def test_the_plain_pattern_needs_no_expression():
    assert compile_pattern("{word}") is None
    assert compile_pattern("{word}.{tag}").fullmatch(b"film_x") is None
    assert compile_pattern("<{word}>").fullmatch(b"<film>")["word"] == b"film"


@pytest.mark.parametrize(
    ("written", "pattern", "key"),
    [
        (("/c/en/the", "/c/en/film", "/c/de/film"), "/c/en/{word}", "/c/en/the"),
        (("/c/de/der", "/c/de/film", "/c/en/the", "/c/en/film"), "/c/en/{word}", "/c/en/the"),
        (("the_DET", "film_NOUN", "good_ADJ"), "{word}_{tag}", "the_DET"),
        (("The|DT", "film|NN"), "{word}|{tag}", "The|DT"),
        (("the#x", "film#n", "bad#a"), "{word}#{tag}", "the#x"),
        (("film#n", "good#n", "bad#n", "the#n"), "{word}#n", "the#n"),
        (("det:the", "noun:film", "adj:bad"), "{tag}:{word}", "det:the"),
        (("en:the", "en:film", "de:film"), "en:{word}", "en:the"),
        (("/c/en/the/d", "/c/en/film/n"), "/c/en/{word}/{tag}", "/c/en/the/d"),
        (("Ġthe", "Ġfilm", "s"), "Ġ{word}", "Ġthe"),
        (("▁the", "▁film", "s"), "▁{word}", "▁the"),
        (('"the"', '"film"'), '"{word}"', '"the"'),
        (("http://x.org/The", "http://x.org/Film"), "http://x.org/{word}", "http://x.org/The"),
        # Some plain words among them change nothing.
        ((".", "a", "film", "the_DET", "film_NOUN", "good_ADJ"), "{word}_{tag}", "the_DET"),
    ],
)
def test_patterns_are_recognized(written, pattern, key):
    found = diagnose(keys(*written), COUNTS)
    assert (found.pattern, found.keys, found.words) == (pattern, (key,), ("the",))
    # The pattern reads the key that is shown.
    assert compile_pattern(pattern).fullmatch(key.encode())["word"].lower() == b"the"
    assert f"{key!r}; the texts have 'the'. The file writes its words as {pattern}" in str(found)


def test_a_pattern_of_most_keys_needs_few_of_the_words():
    assert diagnose(keys("bad_ADJ", "dull_ADJ"), {"the": 97, "bad": 3}).pattern == "{word}_ADJ"
    assert diagnose(keys("bad_ADJ", "gut", "mal", "mauvais"), {"the": 97, "bad": 3}).pattern == ""


def test_the_setting_can_be_copied_from_the_message():
    from sst_keras.config import load_pipeline

    for written in ('"the"', "'the'", "b'the'", "the#x", "/c/en/the", "x|the", "▁the"):
        found = diagnose(keys(written), {"the": 1})
        (override,) = shlex.split(str(found).partition("--set ")[2].removesuffix("."))
        assert load_pipeline("lstm", [override]).embedding.key_pattern == found.pattern


@pytest.mark.parametrize(
    "written",
    [
        ("the", "film", "well-made"),
        ("der", "gut", "schlecht"),
        ("der-film", *(f"wort{n}" for n in range(9))),
        ("a film", "the film"),
        ("{the}",),
        (),
    ],
)
def test_where_there_is_no_pattern(written):
    assert diagnose(keys(*written), COUNTS).pattern == ""


def test_what_is_shown_without_a_pattern():
    found = diagnose(keys("0", "и", "фильм", "в", "не"), COUNTS)
    assert str(found) == (
        "The file has 'и', 'фильм', 'в'; the texts have 'the', 'a', 'film'. The file's alphabet is "
        "Cyrillic, the texts' Latin."
    )
    assert "different languages" in str(diagnose(keys("gut", "schlecht"), COUNTS))
    assert diagnose((), {}).scripts == ("", "")
