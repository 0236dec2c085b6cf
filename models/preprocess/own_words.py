"""What of a post's text its author said, apart from what platforms and clients put there.

A link, an address, a name, `RT @name:`, `//@name:`, `via @name` or Weibo's `转发微博` (the text of
a repost without words) is no one's feeling, and neither are the name of a file, `null`, a notice
that the post is gone, and marks alone. Where a text has nothing else, nothing of it is read.
Letters, digits, emoji, emoticons and hashtags are words.

Every pattern is bounded, so that the time is linear in the text.
"""

import re
from typing import Final

from models.preprocess.notices import CAMERAS, FILES, without_notice, without_video

_ASCII: Final = r"[a-z0-9_\-./?%&=#~:+@!,;'()*$]*"
_DOMAINS: Final = "com|org|net|edu|gov|info|io|tv|cn|jp|kr|tw|hk|uk|de|fr|app|dev|news|social"
_PHRASES: Final = (
    # What stands in place of words in a repost, and the labels of what is attached or linked.
    "(?:快)?[转轉](?:[发發](?:微博|了|理由)?|微博)?|分享(?:[图圖]片|[视視][频頻]|影片|[链鏈]接)"
    "|[网網][页頁][链鏈]接|查看[图圖]片|[图圖]片[评評][论論]|[评評][论論]配[图圖]|微博[视視][频頻]"
    "|(?:秒拍|快手|抖音)[视視][频頻]|(?:展[开開]|收起|查看|[阅閱][读讀])全文|[图圖]片|照片|相片|[动動][图圖]|[视視][频頻]|影片|音[频頻]|[链鏈]接"
    "|[无無](?:文字|正文|[内內]容)"
)
# "Replying to", "from", "reposted from", "shared from", "source", "by".
_CREDITS: Final = "回[复覆復]|[来來]自|[转轉]自|分享自|[来來]源|出[处處]|作者"
_LABELS: Final = (
    "[图圖]片|照片|相片|[动動][图圖]|[视視][频頻]|影片|[语語]音|音[频頻]|[链鏈]接|[动動][画畫]表情"
    "|表情|位置|文件|已[删刪]除|image|photo|picture|gif|video|audio|voice(?: message)?|link"
    "|sticker|media|attachment|unavailable|deleted(?: by (?:user|author))?"
    "|removed(?: by (?:moderator|reddit))?"
    "|no (?:text|caption|content|description|title)"
)
_MARKERS: Final = (
    "rt|mt|qt|via|cc|h/t|repost(?:ed|ing)?|reblog(?:ged|ging)?|retweet(?:ed|ing)?"
    # What programs write for nothing, and clients in place of what is attached.
    "|null|undefined|nan|none|n/a|photos?|images?|pictures?|pics?|videos?|gifs?"
)
_NAME: Final = (
    r"(?<![a-z0-9_])@[\w\-]{1,40}"
    rf"(?:@[\w.\-]{{1,80}}|(?:\.[a-z0-9\-]{{1,63}}){{0,3}}\.(?:{_DOMAINS}|[a-z]{{2}})(?![\w\-]))?"
    r"(?:['’]s(?!\w))?"
)
_NOBODYS: Final = re.compile(
    "|".join(
        (
            r":?//(?=\s{0,3}@)",  # no emoticon
            rf"(?:(?<!\w)(?:by|from|re:)(?!\w)|{_CREDITS})\s{{0,3}}:?\s{{0,3}}(?=@|https?(?!\w))",
            r"(?<![\w.+\-])(?:mailto:)?[\w.+\-]{1,64}@(?:[a-z0-9\-]{1,63}\.){1,4}[a-z]{2,24}(?!\w)",
            _NAME,
            FILES,
            # Addresses: what normalisation makes of them, what it leaves, and without a scheme.
            r"(?<![a-z0-9])[a-z][a-z0-9+.\-]{1,15}://\S*",
            r"(?<![a-z0-9])https?(?![a-z0-9])",
            rf"(?<![a-z0-9.\-@])(?:[a-z0-9\-]{{1,63}}\.){{1,4}}"
            rf"(?:(?:{_DOMAINS})(?![a-z0-9\-])(?:[/:?]{_ASCII})?|[a-z]{{2,24}}/{_ASCII})",
            rf"(?<![\w#])(?:{_MARKERS})(?!\w)|#n/a(?!\w)",
            rf"[\[【(<] ?(?:{_LABELS}) ?[\]】)>]",
            # Weibo's icon of a link is an O where its text was copied from the page.
            rf"(?:(?<![a-z0-9])O ?(?=[网網][页頁]))?(?<!#)(?:{_PHRASES})",
            r":[a-z0-9_+\-]{1,64}:",  # emoji of a server's own: the model reads their letters
        )
    ),
    re.IGNORECASE,
)
# Letters and digits but for the fillers of Hangul, which nobody sees; emoji; emoticons.
_WORDS: Final = re.compile(
    r"[^\W_\u115f\u1160\u3164\uffa0]"
    r"|[\u231a\u231b\u23e9-\u23fa\u2600-\u2793\u2795-\u2797\u2b1b\u2b1c\u2b50\u2b55]"
    r"|[\U0001f000-\U0001faff]"
    r"|[:;=][-o'^]?[)(\[\]|\\/*{}<>]"  # :-)
    r"|([\^\-=><;.~*])_{1,3}\1|\^[.\-]?\^|>[_.]<|</3"  # ^_^
    r"|\((?=[^)]{0,8}[\^_<>=~;°´`≧≦¬\u2190-\u2bff])[^\s()]{2,8}\)"  # (≧▽≦)
)
# Most texts show at once that they say something. Neither may match what _NOBODYS takes away.
_PLAIN: Final = re.compile(
    rf"(?<!\S)(?!(?:{_MARKERS}|by|from|https?)(?!\S))[a-z]{{2,}}(?!\S)", re.IGNORECASE
)
_HAN: Final = re.compile(
    "[^\u0000-\u4dff\ua000-\U0010ffff"
    + re.sub(r"[a-zA-Z?:()|\[\] ]", "", _PHRASES + _LABELS + CAMERAS)
    + "]"
)


def own_words(text: str) -> str:
    """The normalised text without what is nobody's words; empty where no word is left."""
    text = without_notice(without_video(text))
    if _PLAIN.search(text) or (_HAN.search(text) and "@" not in text and "/" not in text):
        return text
    rest = _NOBODYS.sub(" ", text)
    return rest if _WORDS.search(rest) else ""
