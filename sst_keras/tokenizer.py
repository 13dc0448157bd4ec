r"""Raw English → treebank tokens, with only TensorFlow string operations.

The same graph runs in training on raw texts and inside an exported model. The tokens are those of
the Stanford Sentiment Treebank, which follows the Penn Treebank, without their escapes:

- `don't` → `do n't`, `it's` → `it 's`, `cannot` → `can not`; but `gonna`, `wanna`, `gotta`.
- Quotes, straight or curly: `"` opening → ``` `` ```, closing → `''`; single → ``` ` ``` and `'`.
- Each bracket is a token. The escapes `-LRB-`, `-RRB-`, `\/`, `\*` are undone.
- A dash is `--`, an ellipsis `...`; a run of `!` and `?` is one token.
- A full stop is a token unless it belongs to an abbreviation, an initial or a number.

- An emoji is a token, with its modifiers: `Tuesday😡😡` → `Tuesday 😡 😡`. The treebank has none.

Tokens joined by single spaces are returned unchanged. Three tokens of the treebank contain a
no-break space (`8 1/2`): it is kept between a number and a fraction, and is white space elsewhere.

The tokens of a text are those of its words: no rule looks across white space, except that `No.` is
an abbreviation before a number. `sst_keras.texts` relies on it.
"""

from sst_keras.runtime import tf
from sst_keras.vocabulary import UNKNOWN

_CLITICS = "s|m|d|ll|re|ve"
_ABBREVIATIONS = (
    "Mr|Ms|Mrs|Dr|Jr|Sr|St|Mt|Prof|Gen|Sen|Rep|Gov|Lt|Col|Capt|Sgt|Rev|Hon|Ave|Blvd|Pa|PA|Wash|"
    "Jan|Feb|Aug|Sept|Oct|Nov|Dec|Bros|Inc|Co|Corp|Ltd|vs|Vs|etc|al"
)

# The characters that Unicode calls emoji, without digits.
_EMOJI = (
    "⌚⌛⏩-⏳⏸-⏺◽◾☀-☄☎☑☔☕☘☝☠☢☣☦☪☮☯☸-☺♀♂♈-♓♟♠♣♥♦♨♻♾♿⚒-⚗⚙⚛"
    "⚜⚠⚡⚧⚪⚫⚰⚱⚽⚾⛄⛅⛈⛎⛏⛑⛓⛔⛩⛪⛰-⛵⛷-⛺⛽✂✅✈-✍✏✒✔✖✝✡✨✳✴❄❇❌❎❓-❕"
    "❗❣❤➕-➗➡➰➿⬛⬜⭐⭕🀄🃏🅰🅱🅾🅿🆎🆑-🆚🈁🈂🈚🈯🈲-🈺🉐🉑🌀-🙏🚀-🛿🟠-🟫🟰🤌-🧿🩰-🫿"
)
# These are emoji if the variation selector U+FE0F follows.
_TEXT_EMOJI = "©®‼⁉™ℹ↔-↙↩↪⌨⏏Ⓜ▪▫▶◀◻◼⤴⤵⬅-⬇〰〽㊗㊙"
# Variation selectors, skin tones, tags.
_MODIFIER = "[\\x{fe0e}\\x{fe0f}\\x{1f3fb}-\\x{1f3ff}\\x{e0020}-\\x{e007f}]*"
# Flags, keycaps, and emoji joined by U+200D, after Unicode Technical Standard 51.
_EMOJI_SEQUENCE = (
    "[\\x{1f1e6}-\\x{1f1ff}]{1,2}|[0-9#*]\\x{fe0f}?\\x{20e3}|"
    f"(?:[{_EMOJI}]|[{_TEXT_EMOJI}]\\x{{fe0f}}){_MODIFIER}"
    f"(?:\\x{{200d}}(?:[{_EMOJI}{_TEXT_EMOJI}]{_MODIFIER})?)*"
)
_WHITE_SPACE = (
    "[\x00\x09-\x20\x7f\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200b}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}\\x{feff}]"
)

# Pattern (RE2, without look-around) and replacement, in order. Control characters mark what later
# rules must not change: \x01 a no-break space, \x02 an opening single quote, \x03 an abbreviation's
# full stop, \x04 an apostrophe. In the text itself they are white space.
_RULES = (
    # White space becomes two spaces, so that each word has one of its own on either side. Rules
    # put one space within a word.
    ("[\x01-\x08]", " "),
    (r"(\d)\x{a0}(\d+\\?/\d)(-?)", "\\1\x01\\2 \\3 "),
    (f"^{_WHITE_SPACE}*|{_WHITE_SPACE}+|$", "  "),
    # The treebank's escapes.
    ("-LRB-", " ( "),
    ("-RRB-", " ) "),
    (r"\\([/*])", r"\1"),
    # Dots, dashes, double quotes.
    (r"[\x{2018}\x{2019}\x{201b}\x{2032}]", "'"),
    (r"\x{2026}|\.\.\.*", " ... "),
    (r"[\x{2013}\x{2014}\x{2015}]|---*", " -- "),
    (r"([ (\[{<])[\"\x{201c}]|``", r"\1 `` "),
    (r"[\"\x{201c}\x{201d}]|''", " '' "),
    ("([^`])`([^`])", r"\1 ` \2"),
    # Emoji and punctuation; a comma or colon within a number stays.
    (rf"({_EMOJI_SEQUENCE}|[()\[\]{{}}<>;$#%]|[!?]+|\*+)", r" \1 "),
    ("([^0-9])([,:])|([,:])([^0-9])", r"\1 \2\3 \4"),
    # A hyphen or slash at a word's end or start, or next to an apostrophe, is a token.
    ("([^ -])([-/]) ", r"\1 \2 "),
    (" ([-/])([^ -])", r" \1 \2"),
    ("(?i) (anti|pro) - ", r" \1- "),
    ("([^ -])-'", r"\1 - '"),
    (r" '(\d\ds)-", r" '\1 - "),
    ("([^ '])'-", r"\1 ' - "),
    ("([a-z])&([a-z])", r"\1 & \2"),
    # Contractions.
    ("(?i) '(n)' ", " \x04\\1\x04 "),
    (r"(?i)([a-z])(n't)\b(-?)", r"\1 \2 \3 "),
    (rf"(?i)([^ '`])('(?:{_CLITICS}))\b(-?)", r"\1 \2 \3 "),
    (r"(?i)\b(can)(not)\b", r"\1 \2"),
    # Single quotes: closing ones and plural possessives, then opening ones.
    ("([^ '`])'([ .])", r"\1 ' \2"),
    ("(?i) (ol) ' ", r" \1' "),
    (" '([A-Za-z])", " \x02\\1"),
    (rf"(?i) \x02(em|tis|twas|til|n'?|{_CLITICS})\b(-?)", r" '\1 \2 "),
    ("\x02", "` "),
    # Full stops.
    (rf"\b({_ABBREVIATIONS})\. ", "\\1\x03 "),
    (r"\b([Nn]o)\.( +[0-9.])", "\\1\x03\\2"),
    (r"(\b[A-HJ-Z]|\.[A-Za-z])\. ", "\\1\x03 "),
    (r"([^ .])\. ", r"\1 . "),
    ("\x03", "."),
    ("\x04", "'"),
    ("\x01", "\u00a0"),
    ("^ *$", UNKNOWN),
)


def tokenize(texts: tf.Tensor) -> tf.RaggedTensor:
    """Splits UTF-8 texts string[batch] into tokens string[batch, (tokens)].

    A text without tokens becomes one unknown token. Bytes that are not UTF-8 are kept.
    """
    for pattern, replacement in _RULES:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.split(texts)  # at ASCII white space, so a no-break space is kept


def looks_ahead(words: tf.Tensor) -> tf.Tensor:
    """Returns bool[words], whether the tokens of a word may depend on the next word."""
    return tf.strings.regex_full_match(words, r"(?s).*(\b|\d)[Nn]o\..*")
