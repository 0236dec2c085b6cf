"""Normalisation of social text, English and Chinese, before the tokenizer.

The placeholders are those of the training corpora (TweetEval): `@user` for a name and `http` for
a link, so that the model meets at work what it met in training and no handle reaches it.
"""

import html
import re
import unicodedata

LINK = re.compile(r"(?:https?://|www\.)[\w\-./?%&=#~:+@!,;'()*$\[\]]+", re.ASCII | re.IGNORECASE)
NAME = re.compile(r"(?<![\w.])@[\w\-]{1,40}")
# Weibo writes its own emoji as a word in brackets: [泪], [doge], [good].
BRACKET = re.compile(r"\[([\w\u4e00-\u9fff·]{1,8})\]")
ELONGATED = re.compile(r"([^\W\d_])\1{3,}")
REPEATED_MARK = re.compile(r"([^\w\s])\1{3,}")
SPACE = re.compile(r"\s+")
# Presentation only: they change how an emoji is drawn and cost a token each.
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\ufe0e\ufe0f\ufeff"))


def normalise(text: str) -> str:
    """Apply every step below, in their order. The result may be empty."""
    text = unicodedata.normalize("NFKC", html.unescape(text)).translate(INVISIBLE)
    text = placeholders(text)
    text = bracket_emoji(text)
    text = squeeze(text)
    return SPACE.sub(" ", text).strip()


def placeholders(text: str) -> str:
    """`@name` becomes `@user`, a link becomes `http`."""
    return NAME.sub("@user", LINK.sub("http", text))


def bracket_emoji(text: str) -> str:
    """Set Weibo's `[泪]` apart with spaces, so that the word inside is a token of its own."""
    return BRACKET.sub(r" [\1] ", text)


def squeeze(text: str) -> str:
    """Cut elongations to three: `soooooo` becomes `sooo`, `!!!!!!` becomes `!!!`."""
    return REPEATED_MARK.sub(r"\1\1\1", ELONGATED.sub(r"\1\1\1", text))
