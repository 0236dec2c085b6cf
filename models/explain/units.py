"""The parts of a text that are taken away one by one: words, links, hashtags, emoji.

Chinese has no spaces, so a run of Han characters is cut into the pieces that the model's own
tokenizer makes of it, which are words for the most part.
"""

import re
from collections.abc import Sequence

from tokenizers import Tokenizer

from models.preprocess.text import BRACKET, LINK, NAME

HAN = r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
WORD = rf"(?:(?!{HAN})\w)+(?:['’\-](?:(?!{HAN})\w)+)*"
# One mark or emoji, with what modifies it, as often as it is repeated.
MARK = r"(?P<mark>[^\w\s][\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff]*)(?P=mark)*"
UNIT = re.compile(
    rf"{LINK.pattern}|{NAME.pattern}|{BRACKET.pattern}|[#＃]\w+[#＃]?|(?P<han>{HAN}+)|{WORD}|{MARK}",
    re.IGNORECASE,
)


Span = tuple[int, int]  # of the text as it was written: `text[start:end]`


def units(text: str, tokenizer: Tokenizer) -> list[Span]:
    """The units of a text, in order. Between them is nothing but white space."""
    found: list[Span] = []
    for match in UNIT.finditer(text):
        if match["han"] is None:
            found.append(match.span())
        else:
            found += _pieces(match["han"], match.start(), tokenizer)
    return found


def without(text: str, gone: Sequence[Span]) -> str:
    """The text with these units cut out."""
    for start, end in sorted(gone, reverse=True):
        text = text[:start] + text[end:]
    return text


def _pieces(run: str, offset: int, tokenizer: Tokenizer) -> list[Span]:
    spans = tokenizer.encode(run, add_special_tokens=False).offsets
    starts = sorted({0, *(start for start, end in spans if end > start)})
    ends = [*starts[1:], len(run)]
    return [(offset + a, offset + b) for a, b in zip(starts, ends, strict=True)]
