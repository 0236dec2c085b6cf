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
    ("names behind a dot", (".@bob @alice https://t.co/x", ".@bob", "..@bob", "@a.@b", '"@bob"')),
    ("whose", ("@bob's", "@bob’s https://t.co/x", "@bo@example.social's", "RT @a's")),
    ("addresses of mail", ("a@b.co", "mailto:a@b.co", "<ann.lee+x@mail.example.co.uk>", "a@b.co.")),
    ("files", ("IMG_1234.JPG", "image.png", "a-b.mp4 c.d.webp", "image (1).png", "[photo.heic]")),
    ("files of tools", ("Screenshot 2026-03-01 at 10.11.12 PM.png", "微信图片_20260301.jpg")),
    ("programs' nothing", ("null", "N/A", "n/a", "#N/A", "undefined", "NaN", "(null)", "[null]")),
    ("no text", ("[no text]", "(no caption)", "【无文字】", "无内容", "[ Removed by Reddit ]")),
    ("media without brackets", ("图片", "視頻", "Photo", "photo.", "Video https://t.co/x", "GIF")),
    ("reposting", ("Reposting @x", "reposting: https://t.co/x", "Retweeting @a @b")),
    (
        "Weibo's link",
        (
            "O网页链接",
            "O网页链接 O网页链接",
            "O 网页链接",
            "转发理由：//@小明:",
            "转发理由:转发微博",
        ),
    ),
    (
        "whose video",
        (
            "张三的微博视频",
            "O网页链接 张三的微博视频",
            "L人民日报的微博视频",
            "http://t.cn/A6x 看看-新闻的秒拍视频",
            "秒拍视频",
            "我分享了张三的视频",
            "我刚刚分享了@张三 的视频 http://t.cn/A6x",
            "人民日报的视频",
            "@张三的微博视频",
            "@张三 的微博视频",
            "小红的快手视频",
        ),
    ),
    (
        "notices",
        (
            "抱歉，此微博已被作者删除。查看帮助：http://t.cn/A6x",
            "抱歉，作者已设置仅展示半年内微博，此微博已不可见。",
            "抱歉，根据作者设置的微博可见时间范围，此微博已不可见。 ",
            "抱歉，由于作者设置，你暂时没有这条微博的查看权限哦。查看帮助：http://t.cn/A6x",
            "该账号因被投诉违反法律法规和《微博社区公约》的相关规定，现已无法查看。查看帮助 http://t.cn/A",
            "该微博因被多人投诉，根据《微博社区公约》，已被删除。",
            "此微博已被删除",
            "该用户不存在",
            "抱歉，此微博已被删除。",
            "抱歉，该内容已被管理员删除",
            "转发微博//@小明:抱歉，此微博已被作者删除。",
            "该微博仅作者可见",
            "//@小明: 此微博已被作者删除",
        ),
    ),
    (
        "notices in English",
        (
            "This Tweet is unavailable.",
            "Tweet unavailable",
            "User not found",
            "This Tweet was deleted by the Tweet author. Learn more",
            "This post is unavailable",
            "This Post is from an account that no longer exists. Learn more",
            "This Tweet is from a suspended account.",
            "Sorry, this post has been removed by the moderators.",
            "This content isn’t available right now",
            "RT @ann: This Tweet is unavailable.",
            "https://t.co/x This post was deleted",
            "You’re unable to view this Post because this account owner limits who can view their "
            "Posts. Learn more",
            "@ann's account has been withheld in Germany in response to a legal demand. Learn more",
        ),
    ),
    ("emoji of a server", (":verified: :heart:", ":blobcat::blobcat:", "@ann :heart:", ":+1:")),
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
        ("转发微博抽奖", "求转发", "分享图片给大家", "转运", "来自上海", "图片太美"),
    ),
    ("beside a name", (".@bob no", "@bob's cat", "@bob's 😀", "@bob is", "what@", "a@b")),
    ("beside a file", ("看看image.png", "my cat.jpg", "so sad.png", "png", "it is image.png.")),
    ("beside nothing", ("null and void", "#null", "photo 😭", "#photo", "nullify", "N/A lol")),
    (
        "about media",
        ("my photo", "图片真好看", "no text", "视频呢", "求图片", "Photo of us", "photo :("),
    ),
    (
        "about videos",
        (
            "张三的微博视频太好笑了",
            "我喜欢你的视频",
            "看哭了 张三的微博视频",
            "感人的视频",
            "可怜的视频",
        ),
    ),
    (
        "videos that were liked",
        ("我爱看张三的微博视频", "看哭了张三的微博视频", "#张三的微博视频#"),
    ),
    (
        "about what is gone",
        (
            "此微博已被删除，气死我了",
            "为什么此微博已被删除",
            "此微博已被删除了吗",
            "抱歉，我来晚了",
            "该用户不存在的东西真多",
            "This Tweet is unavailable to me and I am sad",
            "This post is unavailable :(",
            "该用户不存在 :(",
            "Why was this tweet deleted?",
            "This tweet is not funny",
            "I am unavailable",
            "post deleted my whole life",
        ),
    ),
    ("emoji of a server beside words", (":heart: you", "so :blobcat:", ":heart: 😀", "10:30:45")),
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
    "piece",
    [
        *("ab", "a.", "@", "@a.", "@a", "(", "(^", "a-", "转", ":", "[图", "from ", "(a"),
        *("a@", "a.b@", ".png", "img_", ":a", "的视频", "张的微博视频", "张-", "抱歉,", "@a:"),
        *("截屏1", "screenshot at ", "O 网", "我分享了", "http ", "此微博因a,根据", "[no "),
    ],
)
def test_its_time_is_linear_in_the_text(piece: str) -> None:
    started = time.monotonic()
    own_words(piece * (1_000_000 // len(piece)))
    # 0.8 s at most when it was written; with a pattern that backtracks it is hours.
    assert time.monotonic() - started < 20
