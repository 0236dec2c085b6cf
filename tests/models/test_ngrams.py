"""Character n-grams: what is hashed, what is learnt from it, and how a release carries it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.corpora import Rows
from models.errors import ReleaseError
from models.evaluation import evaluate
from models.fused import weighed as weighed_logits
from models.labels import EMOTIONS
from models.ngrams import CHARACTERS, Ngrams, hashed
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Prepared, Preparer
from models.release import (
    NGRAMS,
    NgramConfig,
    full_name,
    parameters,
    read_config,
    read_manifest,
    verify,
    write_json,
    write_manifest,
)
from models.training import train
from models.training.calibration import temperature
from models.training.ngram_stage import divisor, fit, weighed
from models.training.recipe import NgramRecipe
from tests.models.test_calibration import drawn, rows
from tests.models.test_training import no_report, row, write
from tests.models.test_training import world as world  # noqa: PLC0414
from tests.models.tiny import NGRAM_CONFIG as CONFIG
from tests.models.tiny import make_ngrams, make_release

ANGER, JOY = EMOTIONS.index("anger"), EMOTIONS.index("joy")


def texts_of(*emotions: str) -> tuple[list[str], np.ndarray]:
    """Texts that name one of two emotions between words that say nothing, and their labels."""
    words = {"anger": "气死", "joy": "开心"}
    labels = np.zeros((len(emotions), len(EMOTIONS)), np.float32)
    labels[np.arange(len(emotions)), [EMOTIONS.index(name) for name in emotions]] = 1
    return [f"今天{words[name]}第{n}回" for n, name in enumerate(emotions)], labels


def with_texts(texts: list[str], labels: np.ndarray) -> Rows:
    made = rows(labels, ["a"] * len(texts))
    made.texts[:] = texts
    return made


def test_each_distinct_ngram_once_and_none_across_texts() -> None:
    ids, owners = hashed(["好好好", "好了", "了"], NgramConfig(bits=22, longest=2))
    found = [set(ids[owners == n].tolist()) for n in range(3)]
    assert [len(one) for one in found] == [2, 3, 1]  # 好 好好; 好 了 好了; 了
    assert len(ids) == 6
    assert len(found[0] & found[1]) == 1
    assert found[2] < found[1]
    assert len(set.union(*found)) == 4


def test_upper_case_is_read_as_lower_and_long_texts_are_cut() -> None:
    one, other = (hashed([text], CONFIG)[0].tolist() for text in ("好OK", "好ok"))
    assert one == other
    long = "好" + "".join(chr(0x4E00 + n) for n in range(CHARACTERS + 50))
    assert hashed([long], CONFIG)[0].tolist() == hashed([long[:CHARACTERS]], CONFIG)[0].tolist()


def test_a_text_alone_or_among_others_gives_the_same() -> None:
    table = make_ngrams()
    texts = ["气死我了", "", "so happy", "好", "今天 happy 吗？😀", "\ud800好", "a" * 3]
    together = table.evidence(texts)
    assert together.shape == (7, len(EMOTIONS))
    for text, alone in zip(texts, together, strict=True):
        np.testing.assert_allclose(table.evidence([text])[0], alone, atol=1e-5)
    spoken = [bool(said.any()) for said in together]
    assert spoken == [True, False, False, True, True, True, False]
    assert table.evidence([]).shape == (0, len(EMOTIONS))


def test_evidence_is_the_sum_of_weights_over_the_root_of_their_number() -> None:
    table = make_ngrams()
    ids, _ = hashed(["气死我了"], CONFIG)
    wanted = table.weights[ids].sum(axis=0) / np.sqrt(len(ids)) + table.bias
    np.testing.assert_allclose(table.evidence(["气死我了"])[0], wanted, atol=1e-5)


def test_words_that_tell_are_learnt_and_what_no_corpus_annotates_is_not() -> None:
    texts, labels = texts_of(*(["anger", "joy"] * 60))
    labels[:, EMOTIONS.index("disgust")] = np.nan
    table = fit(with_texts(texts, labels), NgramRecipe([], CONFIG))
    said = table.evidence(["我气死了", "很开心", "第三回"])
    assert said[0, ANGER] > 0.5 > said[1, ANGER]
    assert said[1, JOY] > 0.5 > said[0, JOY]
    assert abs(said[2, ANGER]) < 0.5
    assert not said[:, EMOTIONS.index("disgust")].any()
    again = fit(with_texts(texts, labels), NgramRecipe([], CONFIG))
    np.testing.assert_array_equal(again.weights, table.weights)


def test_the_weight_is_what_held_out_rows_say() -> None:
    learnt = with_texts(*texts_of(*(["anger", "joy"] * 60)))
    table = fit(learnt, NgramRecipe([], CONFIG))
    texts, labels = texts_of(*(["joy", "anger"] * 40))
    held = with_texts(texts, labels)
    blind = np.full(labels.shape, -2.0, np.float32)
    helpful = weighed(table, blind, held)
    assert helpful.evidence(texts)[0, JOY] > 0.5
    np.testing.assert_array_equal(helpful.weights, helpful.weights.astype(np.float16))
    swapped = labels.copy()
    swapped[:, [ANGER, JOY]] = labels[:, [JOY, ANGER]]
    knowing = np.where(swapped > 0.5, 6.0, -6.0).astype(np.float32)
    assert not weighed(table, knowing, with_texts(texts, swapped)).weights.any()
    assert not weighed(table, blind, with_texts(["so happy"] * 80, labels)).weights.any()


def test_the_divisor_makes_texts_with_evidence_as_sure_as_the_rest() -> None:
    sure, labels = drawn(3000, 2.0, 1)
    more, others = drawn(3000, 3.0, 2)
    said = np.concatenate([np.zeros_like(sure), 0.5 * more])
    both = rows(np.concatenate([labels, others]), ["plain"] * 3000 + ["chinese"] * 3000)
    logits = np.concatenate([sure, 0.5 * more])
    every = temperature(logits, np.zeros((6000, 3), np.float32), both).emotions
    found = divisor(said, logits, both)
    assert abs(found * every - 3.0) < 0.4
    assert divisor(np.zeros_like(said), logits, both) == 1.0


def test_what_is_divided_is_what_has_evidence() -> None:
    emotions = torch.full((4, 7), 2.0)
    evidence = torch.tensor([[1.0] * 7, [0.0] * 7, [1.0] * 7, [0.0, 4.0, *[0.0] * 5]])
    present = torch.tensor([[True, False, False]] * 2 + [[False, True, False], [True, True, False]])
    found = weighed_logits(emotions, evidence, present, 2.0)
    assert found[:, 0].tolist() == [1.5, 2.0, 2.0, 1.0]
    assert found[:, 1].tolist() == [1.5, 2.0, 2.0, 3.0]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tiny release with n-grams."""
    return make_release(tmp_path / "tiny", ngrams=True)


def test_a_release_adds_them_to_what_has_the_text(release: Path) -> None:
    predictor, preparer = Predictor.load(release, "cpu"), Preparer.load(release)
    prepared = preparer.prepare([Item("气死我了"), Item("so happy"), Item()])
    ready = [item for item in prepared if isinstance(item, Prepared)]
    assert ready[0].evidence is not None
    assert ready[2].evidence is None
    answers = predictor.predict([*ready, Prepared(tokens=ready[0].tokens)])
    chinese, english, nothing, without = (a for a in answers if isinstance(a, Prediction))
    moved = 2.0 * np.log(chinese.emotions / (1 - chinese.emotions))
    moved -= np.log(without.emotions / (1 - without.emotions))
    np.testing.assert_allclose(moved, ready[0].evidence, atol=0.05)
    np.testing.assert_array_equal(chinese.by_modality["text"][0], chinese.emotions)
    assert english.modalities == ("text",)
    assert nothing.abstained


def test_evidence_of_a_wrong_shape_costs_its_own_item_alone(release: Path) -> None:
    predictor = Predictor.load(release, "cpu")
    tokens = np.array([2, 5, 3], np.int32)
    sound = Prepared(tokens=tokens, evidence=np.zeros(7, np.float32))
    bad = Prepared(tokens=tokens, evidence=np.zeros(5, np.float32))
    endless = Prepared(tokens=tokens, evidence=np.full(7, np.inf, np.float32))
    answers = predictor.predict([sound, bad, endless])
    assert [isinstance(answer, Prediction) for answer in answers] == [True, False, False]


def test_what_does_not_fit_is_refused(release: Path) -> None:
    assert Preparer.load(release)
    other = NgramConfig(bits=12, longest=3)
    Ngrams(other, np.zeros((1 << 12, 7), np.float32), np.zeros(7, np.float32)).save(release)
    with pytest.raises(ReleaseError, match=r"ngrams\.safetensors does not match its sha256"):
        Preparer.load(release)
    write_manifest(release, "tiny")
    with pytest.raises(ReleaseError, match=r"holds .*4096.* asks for .*65536"):
        Preparer.load(release)
    (release / NGRAMS).write_bytes(b"nothing of the kind")
    write_manifest(release, "tiny")
    with pytest.raises(ReleaseError, match="is no safetensors file"):
        Preparer.load(release)
    (release / NGRAMS).unlink()
    with pytest.raises(ReleaseError, match="is missing"):
        verify(release)
    write_manifest(release, "tiny")
    with pytest.raises(ReleaseError, match=r"does not vouch for ngrams\.safetensors"):
        verify(release)


def named(release: Path) -> str:
    write_manifest(release, "tiny")
    return full_name(read_manifest(release), read_config(release))


def test_the_name_changes_with_everything_that_decides(release: Path) -> None:
    first = named(release)
    make_ngrams(seed=1).save(release)
    second = named(release)
    config = read_config(release)
    parts = {"text": config.text, "fusion": config.fusion}
    write_json(release / "config.json", parts | {"calibration": {"abstain_below": 0.1}})
    third = named(release)
    assert len({first, second, third}) == 3
    assert all(name.startswith("tiny@") and len(name) == 17 for name in (first, second, third))
    (release / "card.md").write_text("words")
    assert named(release) == third


def test_a_run_fits_them_and_its_card_says_so(world: Path) -> None:
    words = {"anger": "气死了", "joy": "开心", "sadness": "哭了", "neutral": "开会"}
    for split, count in (("train", 200), ("dev", 20)):
        kinds = list(words) * (count // 4)
        posts = [row(n, kind, text=True) for n, kind in enumerate(kinds)]
        for n, (post, kind) in enumerate(zip(posts, kinds, strict=True)):
            post["text"] = f"今天{words[kind]}第{n}回"
        write(world, "weibo", split, posts)
    recipe = world / "beside.toml"
    recipe.write_text(
        'extends = "recipe.toml"\ndev = ["weibo"]\n[text.ngrams]\n'
        'corpora = [{ name = "weibo" }]\nshape = { bits = 14, longest = 3 }\n'
        '[fusion]\ncorpora = [{ name = "posts" }, { name = "weibo" }, { name = "faces" }]\n'
    )
    release = train(recipe, world / "data", world / "beside", True, report=no_report)
    assert read_config(release).text.ngrams == NgramConfig(bits=14, longest=3)
    # The tokenizer knows no Chinese: what is right is right by the n-grams.
    assert evaluate(release, world / "data", "dev", ["weibo"])["weibo"]["accuracy"] == 1.0
    without = train(
        world / "recipe.toml", world / "data", world / "beside-nothing", True, report=no_report
    )
    assert evaluate(without, world / "data", "dev", ["weibo"])["weibo"]["accuracy"] < 0.5
    card = (release / "card.md").read_text()
    assert "n-grams beside it" in card
    assert "| weibo | n-grams, fusion | not stated | **no** |" in card
    assert parameters(release) - parameters(without) == (1 << 14) * 7 + 7
