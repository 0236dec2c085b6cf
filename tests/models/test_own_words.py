"""What of a text its author said: the kinds of what is nobody's words, English and Chinese."""

import time

import pytest

from models.preprocess.own_words import own_words
from models.preprocess.text import normalise

NOTHING = (
    ("empty", ("", " \n\t", "&nbsp;", "\u3000\xa0")),
    ("invisible", ("\u200b", "\u200d\ufe0f", "\u3164", "\xad", "\U000e0061", "\u2800", "\u2063")),
    ("in place of something", ("\ufffd", "\ufffc")),
    ("marks", ("…", "？？？", "!!!", "。。。", "- -", "***", "#", "▼", "→", "____")),
    ("links", ("https://t.co/abcdefghij", "http://t.cn/A6x http://t.cn/A6y", "www.example.com")),
    ("addresses", ("example.com", "youtu.be/abc123", "nytimes.com/2026/01/26/arti…", "https://…")),
    ("other schemes", ("at://did:plc:abc/app.bsky.feed.post/3k", "http://例え.jp/")),
    ("names", ("@ann", "@ann @bob:", "@bo@example.social", "@name.bsky.social", "@小明 @小红")),
    ("names and links", ("@ann https://t.co/x", "→ https://x.example/z (@ann)")),
    ("retweets", ("RT @newsbot: https://t.co/abcdefghij", "RT @a: RT @b: https://t.co/x", "rt")),
    ("credits", ("via @x", "(via @x)", "h/t @bob", "from @ann", "cc @a @b", "来自 @微博")),
    ("credits in Chinese", ("转自@新浪新闻 http://t.cn/x", "分享自@知乎", "来源：@新华社")),
    ("Weibo's chain", ("//@小明:", "转发//@小明:转发//@小红:", "回复@小明: //@小红: 转发微博")),
    ("Weibo's own words", ("转发微博", "轉發微博", "转发", "快转微博", "转发微博。", "网页链接")),
    ("Weibo in English", ("Repost", "repost.", "Repost @ann")),
    (
        "labels of media",
        ("[图片]", "[图片][图片]", "【圖片】", "分享图片", "分享视频 http://t.cn/A6x"),
    ),
    ("labels in English", ("[Image]", "[GIF] [Video]", "[deleted]", "[removed]")),
    ("Mastodon's quote", ("RE: https://social.example/@bo/1",)),
)
SAID = (
    ("words", ("ok", "No", "好", "ありがとう", "สวัสดี", "نعم", "안녕", "re", "by the way")),
    ("numbers", ("666", "+1", "1", "<3")),
    ("hashtags", ("#blessed", "#难过#", "#repost", "#转发#")),
    ("emoji", ("🎉", "😀 https://t.co/x", "🇺🇦", "❤️", "[泪]", "[doge][doge]")),
    ("emoticons", (":)", ":-(", "^_^", "T_T", "-_-", "(≧▽≦)", "(◕‿◕)", "¯\\_(ツ)_/¯")),
    ("words beside them", ("RT @x: so sad", "//@小明:气死我了", "love from @ann", "看example.com")),
    (
        "with no space between",
        ("t.cn/A6xyz转发太好笑了", "http://t.cn/A6xyz好", "@ann.thanks a lot"),
    ),
    ("with a dot", ("so.tired", "hello.world")),
    (
        "words that begin so",
        ("转发微博抽奖", "求转发", "分享图片给大家", "转运", "来自上海", "图片"),
    ),
    ("English that begins so", ("repost please", "www", "from", "www.example.com lol")),
)


def pairs(kinds: tuple[tuple[str, tuple[str, ...]], ...]) -> list[object]:
    return [pytest.param(text, id=f"{kind}: {text!r}") for kind, texts in kinds for text in texts]


@pytest.mark.parametrize("text", pairs(NOTHING))
def test_what_is_nobodys_words(text: str) -> None:
    assert own_words(normalise(text)) == ""


@pytest.mark.parametrize("text", pairs(SAID))
def test_what_somebody_said(text: str) -> None:
    assert own_words(normalise(text))


@pytest.mark.parametrize(
    "piece", ["ab", "a.", "@", "@a.", "@a", "(", "(^", "a-", "转", ":", "[图", "from ", "(a"]
)
def test_its_time_is_linear_in_the_text(piece: str) -> None:
    started = time.monotonic()
    own_words(piece * (1_000_000 // len(piece)))
    # 0.8 s at most when it was written; with a pattern that backtracks it is hours.
    assert time.monotonic() - started < 20
