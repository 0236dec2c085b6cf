"""Rules: which spikes become alerts, from TOML, changed without a restart.

The first rule that fits a track and a series holds for it; where none fits there is no alert.
Without a file there is one rule, the defaults of `Rule`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import msgspec

from pipeline.errors import SettingsError
from pipeline.rollups import SERIES
from pipeline.watched import WatchedFile, read_toml

_Deviation = Annotated[float, msgspec.Meta(gt=0, le=1000)]
_Minutes = Annotated[int, msgspec.Meta(ge=0, le=7 * 1440)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a spike of these series in these tracks is an alert.

    `tracks` and `series` are names or patterns (`*` stands for anything).
    """

    name: str = "default"
    tracks: tuple[str, ...] = ("*",)
    series: tuple[str, ...] = (*(name for name in SERIES if not name.endswith(":neutral")),)
    minimum_posts: Annotated[int, msgspec.Meta(ge=1)] = 10
    """Posts of the series in the spike before it fires: a share of three posts is no news."""
    fire: _Deviation = 4.0
    """Strength, in standard deviations above what was expected, from which an anomaly fires."""
    clear: _Deviation = 2.0
    """Below this the spike is calming down."""
    clear_after: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 5
    """Minutes of calm in a row after which it is over."""
    cool_down: _Minutes = 30
    """Minutes after that in which only a more severe spike of the series fires."""
    step: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2
    """Severity that an alert gains before it is sent again."""
    mute: bool = False
    """Alerts are shown and not delivered."""

    def fits(self, track: str, series: str) -> bool:
        """Whether the rule speaks of this series."""
        return any(fnmatchcase(track, pattern) for pattern in self.tracks) and any(
            fnmatchcase(series, pattern) for pattern in self.series
        )


class _File(msgspec.Struct, forbid_unknown_fields=True):
    rule: tuple[Rule, ...] = ()


class Rules:
    """Rules in their order. Immutable: a change of rules makes new ones."""

    def __init__(self, rules: Sequence[Rule] = (Rule(),)) -> None:
        self._rules = tuple(rules)
        self._found: dict[tuple[str, str], Rule | None] = {}

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In their order."""
        return self._rules

    @property
    def names(self) -> tuple[str, ...]:
        """In their order."""
        return tuple(rule.name for rule in self._rules)

    def of(self, track: str, series: str) -> Rule | None:
        """The rule that holds for a series; None where no alert is wanted."""
        key = track, series
        if key not in self._found:
            fitting = (rule for rule in self._rules if rule.fits(track, series))
            self._found[key] = next(fitting, None)
        return self._found[key]


class RuleFile(WatchedFile[Rules]):
    """A TOML file of `[[rule]]` tables, read again whenever it changes."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, "rules", load_rules, Rules(), lambda rules: rules.names)


def load_rules(path: Path) -> Rules:
    """Read the rules of a TOML file.

    Raises:
        SettingsError: with the file and what is wrong in it.
    """
    rules = read_toml(path, _File, "rules").rule
    if not rules:
        raise SettingsError(f"rules: {path}: there is no [[rule]]")
    for place, rule in enumerate(rules, 1):
        where = f"rules: {path}: rule {place} ({rule.name})"
        if sum(other.name == rule.name for other in rules) > 1:
            raise SettingsError(f"{where}: the name is there twice")
        if rule.clear >= rule.fire:
            raise SettingsError(
                f"{where}: clear ({rule.clear:g}) must be below fire ({rule.fire:g}), "
                "or the alert flaps"
            )
        for pattern in rule.series:
            if not any(fnmatchcase(name, pattern) for name in SERIES):
                raise SettingsError(
                    f"{where}: no series is like {pattern!r}; there are {', '.join(SERIES)}"
                )
    return Rules(rules)
