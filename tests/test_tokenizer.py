import importlib.util
from pathlib import Path

import pytest

from sst_keras.runtime import tf
from sst_keras.tokenizer import looks_ahead, tokenize
from sst_keras.treebank import escape, read_trees


def tokens_of(*texts):
    return [[token.decode() for token in row] for row in tokenize(tf.constant(texts)).to_list()]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        # Contractions.
        ("I don't, can't, won't.", "I do n't , ca n't , wo n't ."),
        (
            "It's his; they're, we've, she'll, I'd, I'm",
            "It 's his ; they 're , we 've , she 'll , I 'd , I 'm",
        ),
        ("ISN'T IT'S", "IS N'T IT 'S"),
        ("It cannot be; CANNOT", "It can not be ; CAN NOT"),
        ("You're gonna like it, wanna bet?", "You 're gonna like it , wanna bet ?"),
        ("O'Fallon, o'clock, C'mon", "O'Fallon , o'clock , C'mon"),
        ("the directors' cut", "the directors ' cut"),
        ("rock 'n' roll, good ol' boys", "rock 'n' roll , good ol' boys"),
        ("so-bad-it's-good, a can't-miss heist", "so-bad-it 's - good , a ca n't - miss heist"),
        # Quotes, straight and curly.
        ('He said "yes" and ("no").', "He said `` yes '' and ( `` no '' ) ."),
        ("He said ``yes'' too", "He said `` yes '' too"),
        ("“Don’t” — ‘maybe’", "`` Do n't '' -- ` maybe '"),
        ("a 'perfect' film", "a ` perfect ' film"),
        ("the '70s, mid-'70s", "the '70s , mid - '70s"),
        ("let 'em", "let 'em"),
        # Brackets and escapes.
        ("(great) [sic]", "( great ) [ sic ]"),
        ("-LRB- great -RRB-", "( great )"),
        (r"and\/or \*", "and/or *"),
        # Dashes, dots, hyphens, slashes.
        ("good--no, great - really", "good -- no , great - really"),
        ("well–made… or so....", "well -- made ... or so ..."),
        ("low-budget and/or writer/director, 9/11", "low-budget and/or writer/director , 9/11"),
        ("hit- and-miss, anti- war", "hit - and-miss , anti- war"),
        # Numbers and signs.
        ("$7.50 for 10,000 at 3:30, 50%", "$ 7.50 for 10,000 at 3:30 , 50 %"),
        ("one,two:three;four", "one , two : three ; four"),
        ("What?! No!!! R&B, b&w", "What ?! No !!! R&B , b & w"),
        # Full stops.
        ("Good. Not great.", "Good . Not great ."),
        (
            "Mr. Smith vs. Dr. J. R. Jones, L.A., etc.",
            "Mr. Smith vs. Dr. J. R. Jones , L.A. , etc.",
        ),
        ("No. 9, he said no. Yes.", "No. 9 , he said no . Yes ."),
        ("So do I. At 3 p.m. too.", "So do I . At 3 p.m. too ."),
        # White space: a no-break space is kept only within a mixed fraction.
        ("a\tb\r\n c\u00a0d\u2003e", "a b c d e"),
    ],
)
def test_raw_english(text, tokens):
    assert tokens_of(text) == [tokens.split(" ")]
    assert tokens_of(tokens) == [tokens.split(" ")]  # tokens are returned unchanged


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Tuesday😡", "Tuesday 😡"),
        ("😡😡 😡!!!", "😡 😡 😡 !!!"),
        ("Great!😀 Bad.😡", "Great ! 😀 Bad . 😡"),
        ("I don't😡, it's😡.", "I do n't 😡 , it 's 😡 ."),
        ("\"so good 😡\" ('really 😡')", "`` so good 😡 '' ( ` really 😡 ' )"),
        ("⭐⭐ ☺♥", "⭐ ⭐ ☺ ♥"),
        # Variation selectors, skin tones, emoji joined by U+200D, one of them cut off.
        ("love❤\ufe0f❤\ufe0e❤", "love ❤\ufe0f ❤\ufe0e ❤"),
        ("👍🏽👍ok", "👍🏽 👍 ok"),
        ("👨\u200d👩\u200d👧❤\ufe0f\u200d🔥", "👨\u200d👩\u200d👧 ❤\ufe0f\u200d🔥"),
        ("🤷🏾\u200d♀\ufe0f🙂\u200d↔\ufe0f👨\u200d", "🤷🏾\u200d♀\ufe0f 🙂\u200d↔\ufe0f 👨\u200d"),
        # Flags and keycaps.
        ("🇬🇧🇺🇸🇫", "🇬🇧 🇺🇸 🇫"),
        ("🏴\U000e0067\U000e0062\U000e007f🏴", "🏴\U000e0067\U000e0062\U000e007f 🏴"),
        ("top1\ufe0f\u20e32\ufe0f\u20e3", "top 1\ufe0f\u20e3 2\ufe0f\u20e3"),
        ("#\ufe0f\u20e3*\ufe0f\u20e3#1", "#\ufe0f\u20e3 *\ufe0f\u20e3 # 1"),
        # Symbols that are no emoji, unless a variation selector says so.
        ("©2020 Foo™ 5★ ★★☆ x→y 🅐", "©2020 Foo™ 5★ ★★☆ x→y 🅐"),
        ("Foo™\ufe0f ok‼\ufe0f", "Foo ™\ufe0f ok ‼\ufe0f"),
        # Emoticons are punctuation.
        ("good :) <3", "good : ) < 3"),
    ],
)
def test_emoji(text, tokens):
    assert tokens_of(text, tokens) == [tokens.split(" ")] * 2


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("rock 'n' 'n' 'n' roll", "rock 'n' 'n' 'n' roll"),
        ("anti- pro- anti- war", "anti- pro- anti- war"),
        ("anti - war, ol ' boys", "anti - war , ol ' boys"),
        ("a` `b", "a ` ` b"),
        ("a, ,b: :c", "a , , b : : c"),
        ("No. no. No. 5", "No . no . No. 5"),
    ],
)
def test_words_do_not_change_their_neighbours(text, tokens):
    assert tokens_of(text) == [tokens.split(" ")]


def test_words_that_depend_on_the_next_one():
    words = ["No.", "(no.", "1/2no.", "No.\n", "piano.", "no", "Mr.", "anti-"]
    expected = [True, True, True, True, False, False, False, False]
    assert looks_ahead(tf.constant(words)).numpy().tolist() == expected


def test_a_mixed_fraction():
    assert tokens_of("8\u00a01\\/2 stars, 2\u00a01/2-hour") == [
        ["8\u00a01/2", "stars", ",", "2\u00a01/2", "-", "hour"]
    ]


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u00a0", "\u3000", "\x00", "\x01\x02\x03\x04"])
def test_an_empty_text_is_one_unknown_token(text):
    assert tokens_of(text) == [["<unk>"]]


def test_control_characters_are_white_space():
    assert tokens_of("a\x01b\x02c\x03d\x04e") == [["a", "b", "c", "d", "e"]]


def test_other_scripts():
    assert tokens_of("Très bien, 素晴らしい 👍!") == [
        ["Très", "bien", ",", "素晴らしい", "👍", "!"]
    ]


def test_bytes_that_are_not_utf_8_are_kept():
    assert tokenize(tf.constant([b"caf\xe9 isn't"])).to_list() == [[b"caf\xe9", b"is", b"n't"]]


def test_a_batch_and_an_empty_batch():
    assert tokens_of("a.", "", "b c") == [["a", "."], ["<unk>"], ["b", "c"]]
    assert tokenize(tf.constant([], tf.string)).to_list() == []


def test_a_long_text_in_a_graph():
    graph = tf.function(tokenize, input_signature=[tf.TensorSpec([None], tf.string)])
    text = 'It\'s "fine" (really)... ' * 40_000  # one megabyte
    assert graph(tf.constant([text])).row_lengths().numpy().tolist() == [9 * 40_000]


def test_the_real_treebank_is_returned_unchanged(real_data):
    for name in ("train", "dev", "test"):
        trees = read_trees(real_data / "sst" / f"{name}.txt")
        expected = [list(tree.root_example().tokens) for tree in trees]
        assert tokens_of(*(" ".join(tokens) for tokens in expected)) == expected
        assert tokens_of(*(" ".join(map(escape, tokens)) for tokens in expected)) == expected


def test_the_real_snippets(real_data):
    path = Path(__file__).parents[1] / "benchmarks" / "tokenizer.py"
    spec = importlib.util.spec_from_file_location("tokenizer_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    pairs = benchmark.pairs(real_data)
    assert len(pairs) == 9241
    received = tokens_of(*(text for text, _, _ in pairs))
    hits = sum(got == tokens for got, (_, _, tokens) in zip(received, pairs, strict=True))
    assert hits / len(pairs) > 0.998
