"""Evaluation: scores with intervals, languages, comparison, robustness, and the report."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.corpora import DataError, Rows, read_split
from models.degrade import add_noise, blur_pictures, drop_words, modalities, only
from models.evaluation import Answers, Model, ask, labelled, report_on, score_rows, tasks
from models.intervals import Difference
from models.labels import EMOTIONS
from models.metrics import Floats
from models.predictor import Predictor
from models.prepare import Preparer
from models.preprocess import audio, image
from models.release import DEFAULT_RELEASE
from models.report.page import write_report
from models.report.study import Comparison, ModelReport, Study, compare, study
from models.robustness import headline, rises, robustness
from models.tasks import measure, report
from tests.models.samples import flac, png
from workers.clean import clean

pytestmark = pytest.mark.timeout(600)  # many passes of the model
GLAD = ["I am so happy today!", "best day ever, love it", "今天好开心啊", "太幸福了"]
ANGRY = ["I am furious, this is unacceptable", "气死我了", "什么破公司[怒]", "I hate this so much"]


def emotions(*names: str, missing: tuple[str, ...] = ()) -> dict[str, float | None]:
    return {name: None if name in missing else float(name in names) for name in EMOTIONS}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")

    def write(name: str, rows: list[dict[str, object]]) -> None:
        (folder / name).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), folder / name / "dev.parquet")

    def lang(text: str) -> str:
        return "en" if text.isascii() else "zh"

    labelled = [(text, "joy") for text in GLAD] + [(text, "anger") for text in ANGRY]
    write(
        "one",
        [
            {"id": text, "text": text, "lang": lang(text), "emotions": emotions(name)}
            for text, name in labelled
        ],
    )
    write(
        "several",
        [
            {
                "id": text,
                "text": text,
                "lang": "en",
                "emotions": emotions(name, "surprise", missing=("disgust",)),
            }
            for text, name in labelled
        ],
    )
    write(
        "pictures",
        [
            {
                "id": text,
                "text": text,
                "image": {"bytes": png(40, i) if i else b"broken", "path": None},
                "audio": {"bytes": flac(0.5), "path": None},
                "polarity": "positive" if name == "joy" else "negative",
                "group": f"g{i // 2}",
            }
            for i, (text, name) in enumerate(labelled)
        ],
    )
    write("unlabelled", [{"id": "1", "text": "a", "labels": ["irony"]}])
    return folder


@pytest.fixture(scope="module")
def found(data: Path, predictor: Predictor, preparer: Preparer) -> Study:
    """Two names for the same weights; the first with its robustness."""
    model = Model(predictor, preparer)
    rows = {name: read_split(data, name, "dev") for name in ("one", "several", "pictures")}
    answers = {name: ask(model, part) for name, part in rows.items()}
    reports = {name: report_on(answer, 200) for name, answer in answers.items()}
    spoilt = robustness(model, {"one": rows["one"], "pictures": rows["pictures"]})
    comparisons: list[Comparison] = [
        compare("a", "b", name, (answer, answer)) for name, answer in answers.items()
    ]
    return Study(
        "dev",
        [ModelReport("a", reports, {}, spoilt), ModelReport("b", reports, {}, None)],
        comparisons,
    )


def test_scores_have_intervals_around_them(found: Study) -> None:
    one = found.models[0].corpora["one"]
    assert one.rows == 8
    assert one.scores["accuracy"].value >= 0.75
    for name, score in one.scores.items():
        assert score.low <= score.high, name
        assert "error" in name or score.low <= score.value <= score.high, name
    several = found.models[0].corpora["several"]
    assert {"micro_f1", "exact_match", "macro_recall"} <= several.scores.keys()
    assert several.emotions is not None
    assert [label.label for label in several.emotions.labels] == [
        name for name in EMOTIONS if name != "disgust"
    ]
    pictures = found.models[0].corpora["pictures"]
    assert (pictures.rows, pictures.errors) == (8, 0), "a damaged picture costs the picture"
    assert "polarity_accuracy" in pictures.scores
    assert pictures.emotions is None


def test_the_flat_scores_are_those_of_the_report(
    found: Study, data: Path, predictor: Predictor, preparer: Preparer
) -> None:
    for name in ("one", "several"):
        flat = score_rows(read_split(data, name, "dev"), predictor, preparer)
        report = found.models[0].corpora[name]
        assert flat.pop("rows") == report.rows
        assert flat.pop("errors") == 0
        assert flat == pytest.approx({key: score.value for key, score in report.scores.items()})


def test_the_details_agree_with_the_scores(found: Study) -> None:
    report = found.models[0].corpora["one"]
    task = report.emotions
    assert task is not None
    assert task.one_label
    counts = np.array(task.confusion)
    assert counts.sum() == 8
    assert np.trace(counts) / 8 == pytest.approx(report.scores["accuracy"].value)
    assert task.risk[-1] == pytest.approx(1 - report.scores["accuracy"].value)
    assert sum(rows for *_, rows in task.reliability) == 8


def test_a_model_against_itself(found: Study) -> None:
    for one in found.comparisons:
        assert all(score.value == 0 for score in one.scores.values())
        assert all(found.p == 1 for found in one.discordance.values())
    assert [bool(one.discordance) for one in found.comparisons] == [True, False, True]


def test_rows_that_both_could_read_are_compared(
    data: Path, predictor: Predictor, preparer: Preparer
) -> None:
    rows = read_split(data, "pictures", "dev")
    model = Model(predictor, preparer)
    words = ask(model, only(rows, ["text"]))
    rows.texts[0] = rows.audios[0] = None  # its picture is damaged
    whole = ask(model, rows)
    assert (len(whole.places), len(words.places)) == (7, 8)
    counts = compare("a", "b", "pictures", (whole, words)).discordance["polarity"]
    right = [tasks(answers)["polarity_"].right for answers in (whole, words)]
    assert counts.only_first - counts.only_second == right[0].sum() - right[1][1:].sum()


def test_a_row_of_which_nothing_is_read_has_the_label_that_is_likeliest_before(
    data: Path, predictor: Predictor, preparer: Preparer
) -> None:
    rows = read_split(data, "one", "dev")
    rows.texts[:2] = ["https://t.co/x", "转发微博"]
    answers = ask(Model(predictor, preparer), rows)
    emotions, polarity = predictor.prior()
    assert (answers.total, len(answers.places)) == (8, 8)
    np.testing.assert_array_equal(answers.emotions[:2], [emotions] * 2)
    np.testing.assert_array_equal(answers.polarity[:2], [polarity] * 2)
    assert answers.confidence[:2].tolist() == [0.0, 0.0]
    assert answers.abstained[:2].all()
    assert report_on(answers, 10).abstained >= 0.25


def test_what_is_missing_is_said_before_any_model_is_loaded(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no split dev with emotions or polarity for nope"):
        study([tmp_path], data, "dev", ["one", "nope"])
    with pytest.raises(DataError, match="for unlabelled"):
        study([tmp_path], data, "dev", ["unlabelled"])
    with pytest.raises(DataError, match="for any corpus"):
        study([tmp_path], data, "test")


def test_languages_are_means_over_their_corpora(data: Path) -> None:
    [report] = study([DEFAULT_RELEASE], data, "dev", ["one", "several"], device="cpu").models
    assert {name: (one.rows, one.corpora) for name, one in report.languages.items()} == {
        "en": (12, ["one", "several"]),
        "zh": (4, ["one"]),
    }
    assert report.model.startswith("fused-joint@")


def test_robustness_asks_about_every_subset_addition_and_damage(found: Study) -> None:
    spoilt = found.models[0].robustness
    assert spoilt is not None
    assert spoilt.scored_by == {"one": "macro_f1", "pictures": "polarity_accuracy"}
    assert len(spoilt.subsets) == 7
    assert [one.added for one in spoilt.added] == [("image",), ("audio",), ("image", "audio")]
    assert [(curve.corpus, curve.change.split()[0]) for curve in spoilt.curves] == [
        ("one", "words"),
        ("pictures", "words"),
        ("pictures", "blur"),
        ("pictures", "signal"),
    ]
    for curve in spoilt.curves:
        assert len(curve.levels) == len(curve.scores)
    words = spoilt.curves[0].scores
    assert words[-1].value < words[0].value


@pytest.mark.parametrize(("kinds", "score"), [(1, "polarity_accuracy"), (2, "macro_f1")])
def test_one_kind_of_emotion_is_no_score_to_be_known_by(kinds: int, score: str) -> None:
    count = 6
    given = np.eye(7, dtype=np.float32)[np.arange(count) % kinds]
    answers = answered(given, np.full((count, 7), 0.5, np.float32))
    assert headline(answers) == score


@pytest.mark.parametrize(
    ("name", "score"), [("neutral", 2 / 3), ("", 1.0)], ids=["a label", "none of the labels"]
)
def test_neutral_counts_where_the_corpus_names_it(name: str, score: float) -> None:
    given = np.zeros((4, 7), np.float32)
    given[0, [0, 3]] = given[1, 3] = given[2:, 6] = 1.0
    said = given.copy()
    said[2:, 6] = 0.0  # every neutral row is missed
    answers = answered(given, said, [("anger", "joy"), ("joy",), (name,), (name,)])
    task = tasks(answers)[""]
    assert measure(task)(None)["macro_f1"] == pytest.approx(score)
    neutral = report(task).labels[-1]
    assert (neutral.label, neutral.f1, neutral.derived) == ("neutral", 0.0, not name)


def answered(given: Floats, said: Floats, labels: list[tuple[str, ...]] | None = None) -> Answers:
    """Answers `said` `(rows, 7)` to rows of one corpus that are labelled `given`."""
    count = len(given)
    rows = Rows(
        ["x"] * count,
        [None] * count,
        [None] * count,
        given,
        np.eye(3, dtype=np.float32)[np.arange(count) % 3],
        np.ones(count, np.float32),
        np.ones(count, np.float32),
        np.array(["a"] * count),
        [None] * count,
        labels or [()] * count,
    )
    return Answers(
        rows,
        np.arange(count),
        count,
        emotions=said,
        polarity=np.full((count, 3), 0.5, np.float32),
        passed=said > 0.4,
        confidence=said[:, 0],
        abstained=said[:, 0] < 0.4,
    )


def test_a_rise_is_more_than_noise() -> None:
    steps = [
        Difference(-0.1, -0.2, 0.0, 0.001),
        Difference(0.02, -0.1, 0.1, 0.6),
        Difference(0.2, 0.1, 0.3, 0.002),
    ]
    assert rises(steps) == [2]


def test_damage(data: Path) -> None:
    rows = read_split(data, "pictures", "dev").take(np.arange(1, 8))
    assert modalities(rows) == ("text", "image", "audio")
    few, fewer = (drop_words(rows, share, 0).texts for share in (0.3, 0.6))
    for whole, less, least in zip(rows.texts, few, fewer, strict=True):
        assert set(least or "") <= set(less or "") <= set(whole or "")
    assert sum(map(len, map(str, fewer))) < sum(map(len, map(str, few)))
    assert _contrast(blur_pictures(rows, 0.2, 0)) < 0.8 * _contrast(rows)
    clean, noisy = (_power(part) for part in (rows, add_noise(rows, 0.0, 0)))
    assert noisy / clean == pytest.approx(2, rel=0.15)


def _contrast(rows: Rows) -> float:
    return float(np.mean([image.decode(data, 112).std() for data in rows.images if data]))


def _power(rows: Rows) -> float:
    sounds = [audio.decode(data)[0] for data in rows.audios if data]
    return float(np.mean([np.square(sound).mean() for sound in sounds]))


def test_the_report_is_one_file_without_script(found: Study, tmp_path: Path) -> None:
    files = {path.name for path in write_report(found, tmp_path / "new" / "report")}
    assert files == {
        *("report.html", "scores.json", "scores.png", "reliability.png", "risk-coverage.png"),
        *("confusion.png", "comparison.png", "degradation.png"),
    }
    page = (tmp_path / "new" / "report" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert re.findall(r'src="(?!data:image/png;base64,)', page) == []
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    assert page.count("data:image/png") == 6
    scores = json.loads((tmp_path / "new" / "report" / "scores.json").read_bytes())
    assert scores["models"][0]["corpora"]["one"]["rows"] == 8


def test_a_row_of_which_the_cleaner_left_nothing_is_an_error(
    tmp_path: Path, predictor: Predictor, preparer: Preparer
) -> None:
    """It is no answer of the model; beside words the picture alone is lost."""
    joy = {name: float(name == "joy") for name in EMOTIONS}
    rows = [
        {"text": "I am so happy!", "image": b"no picture", "emotions": joy},
        {"text": None, "image": b"no picture", "emotions": joy},
        {"text": "I am so happy!", "image": png(), "emotions": joy},
    ]
    (tmp_path / "c").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c" / "dev.parquet")
    [(_, found, _)] = labelled(tmp_path, "dev", clean=clean)
    answers = ask(Model(predictor, preparer), found)
    assert answers.places.tolist() == [0, 2]
    assert report_on(answers, 10).errors == 1
    assert (answers.emotions.argmax(axis=1) == EMOTIONS.index("joy")).all()
