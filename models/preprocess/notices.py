"""What platforms write of their own accord: notices that a post is gone, names of files, and whose
video it is.

A notice counts in its known forms only and at the start of a text, behind names and links: what a
person says of such a post is read. Every pattern is bounded, so that the time is linear.
"""

import re
from typing import Final

_EXTENSIONS: Final = (
    "jpe?g|png|gif|webp|heic|bmp|tiff?|svg|mp4|mov|avi|mkv|webm|3gp|mp3|wav|m4a|ogg|flac|pdf|docx?"
)
CAMERAS: Final = (
    "img|dsc|vid|screen ?shot|screen recording|whatsapp (?:image|video|audio)"
    "|微信[图圖]片|微信截[图圖]|QQ[图圖]片|QQ截[图圖]|屏幕截[图圖]|屏幕快照|截屏|[图圖]片|照片"
)
# Of letters in ASCII: in Chinese no space parts a name from the sentence before it.
FILES: Final = (
    rf"(?:(?<!\w)(?:{CAMERAS})[\d _.\-]{{0,40}}(?:at[\d _.\-]{{1,20}}(?:[ap]m)?)?"
    r"|(?<![a-z0-9_.\-])[a-z0-9_.\-]{1,100})"
    rf"(?: ?\(\d{{1,3}}\))?\.(?:{_EXTENSIONS})(?![\w\-])"
)

_GONE: Final = (
    # "This post has been deleted", "Sorry, this account is no longer available".
    r"(?:sorry, )?this (?:quoted )?(?:tweet|post|status|toot|content|message|account|media|page|"
    r"comment|video|image) (?:is|was|has been|isn['’]t|is not)"
    r"(?: currently| no longer| temporarily)? "
    r"(?:unavailable|available|deleted|removed|withheld|suspended)"
    r"(?: by (?:the |its )?(?:tweet |post |original )?(?:author|poster|owner|user|moderators?))?"
    r"(?: in your country| right now| anymore)?"
    r"|this (?:tweet|post) is from (?:a suspended account|an account that no longer exists)"
    r"|this (?:tweet|post) (?:violated|may violate) the (?:x|twitter) rules"
    r"|you['’]re unable to view this (?:tweet|post) because this account owner limits who can view"
    r" their (?:tweets|posts)"
    r"|(?:quoted )?(?:tweet|post|status|content|media|video) (?:un|not )available"
    r"|this (?:account|post|page) (?:doesn['’]t|does not) exist|(?:user|page|post) not found"
    r"|the author deleted this (?:tweet|post)"
    r"|(?:tweet|post|status|comment|content|message) (?:was |has been )?(?:deleted|removed)"
    r"(?: by (?:the )?(?:author|user|moderators?))?"
    r"|(?:deleted|removed) by (?:the )?(?:author|user|moderators?|reddit)"
    r"|account suspended"
)
_THIS: Final = (
    "(?:此|[该該]|[这這]|原|您查看的)(?:[条條]|[个個])?"
    "(?:微博|[内內]容|帖子?|文章|原文|[账賬帳][号號]|用[户戶]|[视視][频頻])"
)
_REASON: Final = "[^。!?,]{0,50}"
_HIDDEN: Final = (
    "(?:[删刪]除|不可[见見]|(?:[无無]法|不能)查看|不存在|屏蔽|[隐隱]藏|封禁|[冻凍][结結]|[注註][销銷]"
    "|不[适適]宜[对對]外公[开開]"
    "|[仅僅].{1,6}可[见見])"
)
_GONE_CHINESE: Final = (
    # "Sorry, as the author has set ..., this post can no longer be seen."
    f"(?:很?抱歉,)?(?:(?:根[据據]|由[于於]|因)?(?:作者|博主){_REASON},)?"
    f"{_THIS}(?:因{_REASON},(?:根[据據]{_REASON},)?)?"
    f"(?:已[经經]?|[现現]已|[暂暫][时時])?被?(?:原?作者|博主|[发發]布者|管理[员員])?(?:自行)?{_HIDDEN}"
    f"|(?:微博|[内內]容|原文|[视視][频頻])(?:不存在|已被?(?:作者|博主)?[删刪]除)"
    f"|很?抱歉,(?:由[于於])?作者[设設]置,[你您]{_REASON}(?:查看|[权權]限)[^。!?,]{{0,10}}"
    f"|很?抱歉,{_THIS}[违違]反{_REASON}(?:,{_REASON}){{0,2}}"
)
_NOTICE: Final = re.compile(
    # Whose post it was, or where.
    r"(?:\s|//|:(?=\s)|https?(?![a-z0-9])|@[\w\-]{1,40}:?|rt(?!\w)|[转轉][发發](?:微博)?"
    r"|回[复覆復]|,){0,100}+"
    rf"(?:[\[(]? ?(?:{_GONE})(?=\s*(?:[.!…\"”)\]]|https?|learn more|$))"
    rf"|(?:{_GONE_CHINESE})(?!\w)|(?:{FILES})(?=\s|$))"
    r"[\s.。!…]{0,9}(?:(?:learn more|查看[帮幫]助):?)?",
    re.IGNORECASE,
)
_WITHHELD: Final = re.compile(
    r"@[\w\-]{1,40}(?:['’]s)? account (?:is temporarily unavailable because it violates|"
    r"has been withheld in|has been suspended)[^.]{0,80}\.?(?: ?learn more)?",
    re.IGNORECASE,
)

# Of a sentence, not of a name: "you", "this", "who", "saw", "like" and the like.
_SAID: Final = "我你您他她它咱这這那谁誰了很太真"
_SAID_WORDS: Final = (
    "喜[欢歡]|[讨討][厌厭]|[爱愛]看|最[爱愛]|感[谢謝]|[谢謝]+|推[荐薦]|期待|[开開]心|[难難][过過]"
)
# "of joy", "terrible": what somebody says of a video that no platform's name stands beside.
_FELT: Final = (
    "心感爱愛怕恶惡悲伤傷怒笑哭惨慘烂爛美好棒暖痛苦恐怖吓嚇气氣烦煩丑雷恨喜乐樂快难難虐炸搞帅帥"
    "酷甜奇看想死绝絕望可怜憐惊驚震撼温泪淚萌聊糟残殘忍血治励勵"
)
_VIDEO: Final = re.compile(
    rf"(?<![\w\-#])(?:"
    rf"(?:@[\w\-]{{1,40}}|(?:[OL]\s)?(?:(?!{_SAID_WORDS})[^\W{_SAID}]|-){{1,30}}?)\s?"
    rf"的(?:微博|秒拍|快手|抖音)(?:[视視][频頻]|直播)"
    rf"|(?:[OL]\s|(?:我(?:[刚剛]{{1,2}})?)?分享了?\s?)?(?:[^\W{_SAID}{_FELT}的]|-){{1,12}}\s?的[视視][频頻]"
    rf"|我(?:[刚剛]{{1,2}})?分享了\s?@[\w\-]{{1,40}}\s?的[视視][频頻]"
    rf")(?!\w)"
)


def without_notice(text: str) -> str:
    """The text behind the notice that it starts with; the whole text where there is none."""
    notice = _NOTICE.match(text) or _WITHHELD.match(text)
    return text[notice.end() :] if notice else text


def without_video(text: str) -> str:
    """The text without the phrases that say whose video it links, `张三的微博视频`."""
    return (
        _VIDEO.sub(" ", text)
        if "的" in text and ("频" in text or "頻" in text or "直播" in text)
        else text
    )
