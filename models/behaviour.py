"""What a model of social posts must get right, as short posts written for it, by kind.

    python -m models.behaviour [RELEASE]    the share that passes a kind, and the posts that fail

A post passes if its likeliest emotion is one of those expected and, where a polarity is expected,
that is the likeliest too. The table is no benchmark: a kind has a handful of posts.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from models.errors import ItemError
from models.labels import POLARITIES, Emotion, Polarity
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.registry import find_release

Kind = Literal["plain", "emoji", "hashtag", "elongation", "bracket", "negation", "sarcasm"]


@dataclass(frozen=True, slots=True)
class Post:
    """`emotions`: any of these may be the likeliest; `polarity`: None where either would do."""

    kind: Kind
    text: str
    emotions: tuple[Emotion, ...]
    polarity: Polarity | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the model said of one post."""

    post: Post
    dominant: Emotion | None
    polarity: Polarity

    @property
    def passed(self) -> bool:
        """Whether it is among what was expected."""
        return self.dominant in self.post.emotions and self.post.polarity in (None, self.polarity)


Emotions = tuple[Emotion, ...]
JOY: Final[Emotions] = ("joy",)
ANGER: Final[Emotions] = ("anger",)
SADNESS: Final[Emotions] = ("sadness",)
FEAR: Final[Emotions] = ("fear",)
BAD: Final[Emotions] = ("anger", "disgust", "sadness", "fear")
POSTS: Final = (
    Post("plain", "The parade was wonderful and my kids loved every minute", JOY, "positive"),
    Post("plain", "My neighbour keyed my car again, I want to scream at him", ANGER, "negative"),
    Post("plain", "Her chair at the table is empty and I cry every evening", SADNESS, "negative"),
    Post("plain", "There are footsteps in the attic and I am shaking", FEAR, "negative"),
    Post("plain", "Wait, you two are twins?! I had no idea!", ("surprise",), None),
    Post("plain", "The number 12 tram stops at the harbour and the zoo.", ("neutral",), "neutral"),
    Post("plain", "面试通过了，爸妈比我还高兴", JOY, "positive"),
    Post("plain", "房东偷偷扣了押金还骂人，气得我发抖", ANGER, "negative"),
    Post("plain", "奶奶住院了，我躲在楼道里哭了好久", SADNESS, "negative"),
    Post("plain", "半夜听到有人拧门把手，吓得不敢出声", FEAR, "negative"),
    Post("plain", "天哪，居然在地铁上碰到十年没见的同桌", ("surprise", "joy"), None),
    Post("plain", "图书馆周一闭馆，周二九点开门。", ("neutral",), "neutral"),
    Post("emoji", "finally home 🥰🥰", JOY, "positive"),
    Post("emoji", "my flight got cancelled 😡😡", ANGER, "negative"),
    Post("emoji", "last day with this old dog 😭💔", SADNESS, "negative"),
    Post("emoji", "that noise upstairs 😱😨", ("fear", "surprise"), None),
    Post("emoji", "🎉🎂🥳", JOY, "positive"),
    Post("emoji", "😠🤬", ANGER, "negative"),
    Post("emoji", "今晚的月亮 😍", JOY, "positive"),
    Post("emoji", "又下雨了 😭", SADNESS, "negative"),
    Post("emoji", "隔壁又在吵 😡", ANGER, "negative"),
    Post("emoji", "😂😂😂 这猫太逗了", JOY, "positive"),
    Post("hashtag", "New baby in the family #blessed #happy", JOY, "positive"),
    Post("hashtag", "Third delay today #furious #neveragain", ANGER, "negative"),
    Post("hashtag", "One year without him #missyou #heartbroken", SADNESS, "negative"),
    Post("hashtag", "Walking home alone tonight #scared #anxiety", FEAR, "negative"),
    Post("hashtag", "Sunday pancakes #love #bestdayever", JOY, "positive"),
    Post("hashtag", "#开心# 周末和闺蜜去看海", JOY, "positive"),
    Post("hashtag", "#愤怒# 快递又被弄丢了", ANGER, "negative"),
    Post("hashtag", "#难过# 它再也不会回来了", SADNESS, "negative"),
    Post("elongation", "I loooooove this sooooo muuuuch", JOY, "positive"),
    Post("elongation", "noooooo why did they cancel it, so saaaad", SADNESS, "negative"),
    Post("elongation", "ARGHHHHH I am sooooo angryyyyy!!!!!!!", ANGER, "negative"),
    Post("elongation", "yaaaaaay we won!!!!!!!!", JOY, "positive"),
    Post("elongation", "soooo scaryyyyy, I can't look", FEAR, "negative"),
    Post("elongation", "太太太太太开心啦啦啦啦啦！！！！！", JOY, "positive"),
    Post("elongation", "气死我了啊啊啊啊啊啊啊", ANGER, "negative"),
    Post("elongation", "呜呜呜呜呜呜好想回家", SADNESS, "negative"),
    Post("elongation", "哈哈哈哈哈哈哈哈笑得肚子疼", JOY, "positive"),
    Post("bracket", "又要加班到十二点[泪][泪]", SADNESS, "negative"),
    Post("bracket", "这种人也配当医生[怒][怒][怒]", ANGER, "negative"),
    Post("bracket", "新发型怎么样[偷笑][哈哈]", JOY, "positive"),
    Post("bracket", "谢谢大家的祝福[心][鼓掌]", JOY, "positive"),
    Post("bracket", "一个人的跨年[悲伤]", SADNESS, "negative"),
    Post("bracket", "什么破服务[抓狂][怒骂]", ANGER, "negative"),
    Post("bracket", "他真的中了头奖[吃惊]", ("surprise", "joy"), None),
    Post("bracket", "[爱你][爱你] 周五啦", JOY, "positive"),
    Post("negation", "I am not happy with this phone at all", BAD, "negative"),
    Post("negation", "I don't like how they treat people", BAD, "negative"),
    Post("negation", "This is not funny anymore", BAD, "negative"),
    Post("negation", "no longer afraid, I made it through", JOY, "positive"),
    Post("negation", "not a bad day at all, quite lovely in fact", JOY, "positive"),
    Post("negation", "nothing makes me smile these days", SADNESS, "negative"),
    Post("negation", "我一点都不喜欢这份工作", BAD, "negative"),
    Post("negation", "这部电影不好看，浪费时间", BAD, "negative"),
    Post("negation", "再也不害怕一个人走夜路了", ("joy", "neutral"), None),
    Post("negation", "味道真不错，下次还来", JOY, "positive"),
    Post("sarcasm", "Oh great, another Monday with no hot water. Just perfect.", BAD, "negative"),
    Post("sarcasm", "Wonderful, the bus left two minutes early and it is pouring", BAD, "negative"),
    Post("sarcasm", "Thanks for nothing, support team, only four hours on hold", BAD, "negative"),
    Post("sarcasm", "I just love it when my laptop dies before a deadline", BAD, "negative"),
    Post("sarcasm", "呵呵，你可真会安排，又让我一个人收拾", BAD, "negative"),
    Post("sarcasm", "真是太棒了，刚洗完车就下暴雨", BAD, "negative"),
    Post("sarcasm", "可真行，排了三小时告诉我系统坏了", BAD, "negative"),
    Post("sarcasm", "感谢老板，让我在公司过了一个难忘的春节", BAD, "negative"),
)


def run_posts(
    predictor: Predictor, preparer: Preparer, posts: Sequence[Post] = POSTS
) -> list[Outcome]:
    """What the model says of each post, in order. Raises ValueError for one it cannot read."""
    prepared = preparer.prepare([Item(post.text) for post in posts])
    ready = [item for item in prepared if isinstance(item, Prepared)]
    found = [answer for answer in predictor.predict(ready) if isinstance(answer, Prediction)]
    if len(found) != len(posts):
        failed = next(item for item in prepared if isinstance(item, ItemError))
        raise ValueError(f"a post of the table cannot be read: {failed.reason}")
    return [
        Outcome(post, answer.dominant, POLARITIES[int(answer.polarity.argmax())])
        for post, answer in zip(posts, found, strict=True)
    ]


def rates(outcomes: Sequence[Outcome]) -> dict[Kind, float]:
    """The share of each kind that passed."""
    kinds = dict.fromkeys(outcome.post.kind for outcome in outcomes)
    return {
        kind: sum(o.passed for o in outcomes if o.post.kind == kind)
        / sum(o.post.kind == kind for o in outcomes)
        for kind in kinds
    }


def main(release: str | None = None) -> None:
    """Print the rates and what failed."""
    folder = find_release(release)
    outcomes = run_posts(Predictor.load(folder, "cpu"), Preparer.load(folder))
    for kind, rate in rates(outcomes).items():
        print(f"{kind:<10} {rate:.2f}")
    for outcome in outcomes:
        if not outcome.passed:
            expected = "/".join((*outcome.post.emotions, outcome.post.polarity or "any"))
            said = f"{outcome.dominant}/{outcome.polarity}"
            print(f"{outcome.post.kind:<10} {outcome.post.text}  expected {expected}, said {said}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
