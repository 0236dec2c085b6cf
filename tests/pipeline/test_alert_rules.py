"""Rules: which holds for a series, plain errors, and a change without a restart."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from pipeline.alerts.rules import Rule, RuleFile, Rules, load_rules
from pipeline.errors import SettingsError

GOOD = """
[[rule]]
name = "games"
tracks = ["games*"]
series = ["emotion:anger", "volume"]
fire = 6.0
minimum_posts = 50

[[rule]]
name = "rest"
mute = true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_first_rule_that_fits_holds(tmp_path: Path) -> None:
    rules = load_rules(written(tmp_path, GOOD))
    games = rules.of("games-eu", "volume")
    assert games == Rule("games", ("games*",), ("emotion:anger", "volume"), 50, 6.0)
    rest = rules.of("games-eu", "emotion:joy")
    assert rest is not None
    assert (rest.name, rest.mute, rest.fire) == ("rest", True, 4.0)
    assert rules.of("all", "emotion:neutral") is None, "nobody waits for news of no emotion"


def test_without_a_file_there_is_one_rule() -> None:
    assert RuleFile(None).current().names == ("default",)
    assert Rules().of("all", "polarity:negative") == Rule()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]", "rules.toml"),
        ("", "there is no [[rule]]"),
        ("[[rule]]\nfire = 'x'", "$.rule[0].fire"),
        ("[[rule]]\nfires = 3", "unknown field `fires`"),
        ("[[rule]]\nfire = 2.0", "clear (2) must be below fire (2)"),
        ("[[rule]]\nseries = ['emotion:rage']", "no series is like 'emotion:rage'"),
        ("[[rule]]\n[[rule]]", "the name is there twice"),
        ("[[rule]]\nminimum_posts = 0", "$.rule[0].minimum_posts"),
    ],
)
def test_a_bad_file_is_refused_with_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_rules(written(tmp_path, text))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"rules: cannot read .*none\.toml: No such file"):
        load_rules(tmp_path / "none.toml")


def test_a_change_holds_at_once_and_a_bad_one_does_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, GOOD)
    file = RuleFile(path)
    assert file.current().names == ("games", "rest")
    path.write_text("[[rule]]\nname = 'broken'\nfire = -1.0")
    with caplog.at_level(logging.ERROR):
        assert file.current().names == ("games", "rest")
    assert "the rules before this change stay in force" in caplog.text
    path.write_text("[[rule]]\nname = 'new'")
    os.utime(path, (1, 1))
    assert file.current().names == ("new",)
    path.unlink()
    assert file.current().names == ("new",)
