import pytest

from models.preprocess.text import normalise


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Sooooooo happyyyyy!!!!!!", "Sooo happyyy!!!"),
        ("哈哈哈哈哈哈", "哈哈哈"),
        ("@john_doe look", "@user look"),
        ("转发//@小明同学:好", "转发//@user:好"),
        ("see https://t.co/AbC?x=1 now", "see http now"),
        ("mail a@b.com stays", "mail a@b.com stays"),
        ("想家了[泪][泪]", "想家了 [泪] [泪]"),
        ("Ｈｅｌｌｏ　ｗｏｒｌｄ", "Hello world"),
        ("love \u2764\ufe0f it", "love \u2764 it"),
        ("I &lt;3 R&amp;B", "I <3 R&B"),
        ("1000000 times", "1000000 times"),
        ("good", "good"),
        ("  \n\t ", ""),
    ],
)
def test_normalise(raw: str, expected: str) -> None:
    assert normalise(raw) == expected


def test_normalising_twice_changes_nothing() -> None:
    for text in ("Sooooo [泪]@a_b http://x.y/z!!!!!", "👩‍👩‍👧 好好好好好"):
        assert normalise(normalise(text)) == normalise(text)
