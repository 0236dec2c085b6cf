"""What the release claims of alt texts read as if they were the words of the post.

    python -m benchmarks.alt_text [RELEASE]    of which most describe, and claim nothing themselves

An alt text says what is to be seen, for those who cannot see it. Beside each stands what a reader
would say that the *author* of a post of this picture alone feels: in most cases nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

from models.errors import ItemError
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.registry import find_release
from pipeline.event import Emotion

Kind = Literal["description", "machine", "gif", "words"]
NEUTRAL: Emotion = "neutral"

ALTS: dict[Kind, tuple[tuple[str, Emotion | None], ...]] = {
    # What a person wrote of a picture that has no mood, or that of somebody in it.
    "description": (
        ("A man in a blue shirt at a desk", None),
        ("A bowl of ramen with an egg, spring onions and two slices of pork", None),
        ("Bar chart of rents in five cities, 2015 to 2024", None),
        ("A red brick house with a white door and two bicycles in front of it", None),
        ("Close-up of a bee on a yellow flower", None),
        ("A crowded train platform at night", None),
        ("Black and white photo of an empty swimming pool", None),
        ("Three people in suits shaking hands in front of two flags", None),
        ("Map of the north of Italy with the route of the race in orange", None),
        ("A grey cat asleep on a keyboard", None),
        ("Two children building a sandcastle on a beach", None),
        ("A woman crying, holding a phone to her ear", None),
        ("A player kneels on the grass with his head in his hands", None),
        ("Firefighters in front of a burning warehouse", None),
        ("A smiling woman holds up a trophy", None),
        ("The book cover: a wolf howling at the moon, the title in white letters", None),
        ("Photo of the front page of a newspaper from 1969", None),
        ("Logo of a bakery: a rolling pin crossed with an ear of wheat", None),
        ("一只猫坐在窗台上", None),
        ("一碗牛肉面,旁边放着一双筷子", None),
        ("地铁站台上排队的乘客", None),
        ("两位老人在公园里下棋", None),
        ("桌上有一台打开的笔记本电脑和一杯咖啡", None),
        ("一张显示2023年各省降雨量的柱状图", None),
        ("一个小女孩抱着玩具熊在哭", None),
        ("雪后的长城,天空是蓝色的", None),
        ("电影海报:一个男人站在雨中", None),
        ("会议室里几个人在看投影", None),
    ),
    # What a program wrote: a recogniser, or a form that was filled in.
    "machine": (
        ("Image may contain: 2 people, smiling", None),
        ("May be an image of 1 person, standing and outdoors", None),
        ("May be an image of text that says 'OPEN 9-17'", None),
        ("Image may contain: food", None),
        ("No photo description available.", None),
        ("Photo by the author", None),
        ("Alt: image", None),
        ("Alt: a screenshot of a phone", None),
        ("Preview image for the linked article", None),
        ("IMG_20240611_183012.jpg", None),
        ("Untitled design (3)", None),
        ("Description: a dog wearing a hat", None),
        ("图片", None),
        ("可能是包含下列内容的图片:一人或多人、户外", None),
    ),
    # Titles of moving pictures, which are picked for what they show.
    "gif": (
        ("Happy Dance GIF", "joy"),
        ("a man is dancing in front of a crowd of people", None),
        ("Excited Lets Go GIF by a baseball team", "joy"),
        ("Sad Cry GIF", "sadness"),
        ("ALT: a cartoon cat is laying on a bed with the words good morning", None),
        ("Angry Mad GIF by a cartoon", "anger"),
        ("a close up of a man's face with a surprised look on his face", "surprise"),
        ("Confused Math Lady GIF", None),
        ("Eye Roll GIF", "disgust"),
        ("a woman is drinking a glass of water and looking at the camera", None),
        ("Thank You GIF", "joy"),
        ("a black and white photo of a man with the word wow on it", "surprise"),
    ),
    # The words in a picture, written out; those of another as a rule.
    "words": (
        ("Screenshot of a post: 'I am so tired of this, they lied to all of us again'", "anger"),
        ("Text: The office is closed on 1 May. Please use the side door.", None),
        ("Screenshot of an e-mail: your parcel will arrive between 2 and 4 pm", None),
        ("Text on a white background: I miss you every single day, dad", "sadness"),
        ("Screenshot of a headline: 'Council votes to raise parking fees'", None),
        ("Poster: Free concert, Saturday 8 pm, town square", None),
        ("Screenshot of a chat: 'we got the flat!!!' 'omg I am crying, so happy'", "joy"),
        ("Text: Error 502 bad gateway", None),
        ("聊天截图:“我真的受不了了,太气人了”", "anger"),
        ("图片文字:营业时间 9:00-21:00", None),
        ("截图:您的快递已到达驿站,取件码 3-2-1024", None),
        ("手写的纸条:妈妈,我好想你", "sadness"),
    ),
}


def main(release: str | None = None) -> None:
    """Print a line a kind, and each alt text of which an emotion is claimed that nobody sees."""
    wrong: list[str] = []
    print("kind          of nobody's mood: claimed  abstained | of a mood: right  abstained")
    found = dict(_claims(release))
    for kind, alts in ALTS.items():
        plain = [found[text] for text, mood in alts if mood is None]
        moods = [(found[text], mood) for text, mood in alts if mood is not None]
        claimed = sum(claim not in {None, NEUTRAL} for claim in plain)
        right = sum(claim == mood for claim, mood in moods)
        print(
            f"{kind:12} {len(plain):17} {claimed:8} {plain.count(None):10} "
            f"| {len(moods):10} {right:6} {sum(claim is None for claim, _ in moods):10}"
        )
        wrong += [
            f"  {found[text]:9} {text}"
            for text, mood in alts
            if mood is None and found[text] not in {None, NEUTRAL}
        ]
    plain_alts = [text for alts in ALTS.values() for text, mood in alts if mood is None]
    share = 100 * len(wrong) / len(plain_alts)
    print(f"an emotion is claimed of {len(wrong)} of {len(plain_alts)} without one ({share:.0f}%):")
    print("\n".join(wrong))


def _claims(release: str | None) -> Iterator[tuple[str, Emotion | None]]:
    """Each alt text and its dominant emotion; none where the release abstains or reads nothing."""
    folder = find_release(release)
    texts = [text for alts in ALTS.values() for text, _ in alts]
    prepared = Preparer.load(folder).prepare([Item(text) for text in texts])
    items = [item for item in prepared if isinstance(item, Prepared)]
    if len(items) < len(texts):
        raise RuntimeError("a text of these cannot be prepared")
    predictor = Predictor.load(folder, "cpu")
    for text, prediction in zip(texts, predictor.predict(items), strict=True):
        if isinstance(prediction, ItemError):
            raise RuntimeError(prediction.reason)
        yield text, None if prediction.abstained else prediction.dominant


if __name__ == "__main__":
    main(*sys.argv[1:])
