import dataclasses
import math
import random

import numpy as np
import pytest
import torch

from models.device import available
from models.errors import ItemError, ModelError
from models.labels import MODALITIES
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from tests.models.samples import flac, png


def prepare(preparer: Preparer, *items: Item) -> list[Prepared]:
    prepared = [item for item in preparer.prepare(items) if isinstance(item, Prepared)]
    assert len(prepared) == len(items)
    return prepared


def score(predictor: Predictor, preparer: Preparer, *items: Item) -> list[Prediction]:
    answers = predictor.predict(prepare(preparer, *items))
    found = [p for p in answers if isinstance(p, Prediction)]
    assert len(found) == len(items)
    return found


@pytest.mark.parametrize(
    ("text", "dominant", "polarity"),
    [
        ("I am so happy today!", "joy", 1),
        ("I love this song ❤️", "joy", 1),
        ("not bad at all, I loved it", "joy", 1),
        ("sooooo gooood, best day ever!!!!", "joy", 1),
        ("今天好开心啊", "joy", 1),
        ("[哈哈][哈哈] 笑死我了", "joy", 1),
        ("I am furious, this is unacceptable", "anger", -1),
        ("这家店太垃圾了,气死我了!", "anger", -1),
        ("[怒][怒] 什么破公司", "anger", -1),
        ("I miss her so much, I can't stop crying", "sadness", -1),
        ("[泪] 想家了", "sadness", -1),
        ("😭😭", "sadness", -1),
        ("好害怕,晚上一个人不敢睡", "fear", -1),
        ("so scared right now, what if they find us", "fear", -1),
        ("The meeting starts at 10 am tomorrow.", "neutral", 0),
        ("会议明天上午十点开始。", "neutral", 0),
    ],
)
def test_plain_feelings(
    predictor: Predictor, preparer: Preparer, text: str, dominant: str, polarity: int
) -> None:
    [found] = score(predictor, preparer, Item(text))
    assert found.dominant == dominant
    assert dominant in found.labels
    if polarity:
        assert found.sentiment * polarity > 0.5
    else:
        assert abs(found.sentiment) < 0.5


@pytest.mark.parametrize(
    ("plain", "negated"),
    [("I'm happy about this", "I'm not happy about this at all"), ("我很开心", "我一点也不开心")],
)
def test_negation_turns_the_sentiment(
    predictor: Predictor, preparer: Preparer, plain: str, negated: str
) -> None:
    up, down = score(predictor, preparer, Item(plain), Item(negated))
    assert up.sentiment > 0.3
    assert down.sentiment < -0.3


def test_a_batch_says_what_each_item_says_alone(predictor: Predictor, preparer: Preparer) -> None:
    items = [
        Item("I am so happy today!"),
        Item("气死我了", png()),
        Item(None, png(80, 1), flac()),
        Item(),
        Item("what a surprise " * 9, None, flac(0.7, 330)),
    ]
    together = score(predictor, preparer, *items)
    for item, found in zip(items, together, strict=True):
        [alone] = score(predictor, preparer, item)
        tolerance = 1e-4 if predictor.dtype is torch.float32 else 0.03
        np.testing.assert_allclose(found.emotions, alone.emotions, atol=tolerance)
        np.testing.assert_allclose(found.polarity, alone.polarity, atol=tolerance)
        assert found.modalities == alone.modalities


def test_every_subset_of_modalities(predictor: Predictor, preparer: Preparer) -> None:
    image, sound = png(), flac()
    subsets = [tuple(name for bit, name in enumerate(MODALITIES) if n >> bit & 1) for n in range(8)]
    items = [
        Item(
            "I am so happy today!" if "text" in subset else None,
            image if "image" in subset else None,
            sound if "audio" in subset else None,
        )
        for subset in subsets
    ]
    for subset, found in zip(subsets, score(predictor, preparer, *items), strict=True):
        assert found.modalities == subset
        assert set(found.by_modality) == set(subset)
        assert ((found.emotions >= 0) & (found.emotions <= 1)).all()
        assert found.polarity.sum() == pytest.approx(1, abs=1e-5)
        assert 0 <= found.conflict <= 1
        assert (found.conflict == 0) == (len(subset) < 2)


def test_one_modality_alone_speaks_for_the_whole(predictor: Predictor, preparer: Preparer) -> None:
    [found] = score(predictor, preparer, Item("I am so happy today!"))
    np.testing.assert_array_equal(found.by_modality["text"][0], found.emotions)


def test_nothing_is_claimed_of_what_cannot_be_read(
    predictor: Predictor, preparer: Preparer
) -> None:
    items = [Item(), Item("so happy"), Item("https://t.co/x"), Item("https://t.co/x", png())]
    nothing, happy, link, picture = score(predictor, preparer, *items)
    for found in (nothing, link):
        assert (found.dominant, found.abstained, found.modalities) == (None, True, ())
        assert not found.emotions.any()
        assert found.polarity.tolist() == [0, 1, 0]
    assert happy.dominant == "joy"
    assert picture.modalities == ("image",)
    assert picture.dominant is not None


def test_what_the_model_says_before_it_reads_is_no_strong_claim(predictor: Predictor) -> None:
    emotions, polarity = predictor.prior()
    assert emotions.shape == (7,)
    assert emotions.max() < 0.6
    assert polarity.sum() == pytest.approx(1)


def test_only_the_guilty_item_fails(predictor: Predictor, preparer: Preparer) -> None:
    good = prepare(preparer, *(Item(f"post {n}") for n in range(9)))
    bad = Prepared(tokens=np.array([0, 10_000_000, 2], np.int32))
    odd = Prepared(pixels=np.zeros((5, 7, 3), np.uint8))
    pictures = prepare(preparer, Item(image=png()))
    answers = predictor.predict([*good[:4], bad, *good[4:], odd, *pictures])
    failed = [place for place, answer in enumerate(answers) if isinstance(answer, ItemError)]
    assert 4 in failed
    assert set(failed) <= {4, 10}
    assert isinstance(answers[4], ItemError)
    assert answers[4].reason.startswith("the model cannot read this item")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_finding_the_guilty_takes_few_passes(
    predictor: Predictor, preparer: Preparer, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Two passes more for every halving, and at most log2(32) halvings for one guilty item."""
    batch = prepare(preparer, *(Item(f"post {n}") for n in range(32)))
    guilty = random.Random(count).sample(range(32), count)
    for place in guilty:
        batch[place] = Prepared(tokens=np.array([0, 10_000_000, 2], np.int32))
    answers = predictor.predict(batch)
    assert [n for n, a in enumerate(answers) if isinstance(a, ItemError)] == sorted(guilty)
    halvings = [record for record in caplog.records if "halved" in record.getMessage()]
    assert 0 < 2 * len(halvings) <= 2 * count * math.log2(32)


def test_scores_that_are_no_numbers_fail_one_item(predictor: Predictor, preparer: Preparer) -> None:
    fine, loud = prepare(preparer, Item("fine"), Item(audio=flac()))
    assert loud.mel is not None
    broken = dataclasses.replace(loud, mel=np.full_like(loud.mel, np.nan))
    answers = predictor.predict([fine, broken, loud])
    assert [isinstance(answer, ItemError) for answer in answers] == [False, True, False]


def test_the_name_tells_the_weights(predictor: Predictor) -> None:
    name, _, digest = predictor.name.partition("@")
    assert name == "fused-joint"
    assert len(digest) == 12
    assert int(digest, 16) >= 0


def test_no_items_no_answers(predictor: Predictor) -> None:
    assert predictor.predict([]) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_told() -> None:
    assert available("auto") == available("cpu") == torch.device("cpu")
    with pytest.raises(ModelError, match="finds no GPU here: set the device to cpu, or to auto"):
        available("cuda")
