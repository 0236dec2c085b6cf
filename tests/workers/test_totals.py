"""The table of the counts: no wider than the terminal, whatever tracks there are."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from pipeline.errors import SettingsError
from pipeline.fold import Folder, Position
from pipeline.settings import Settings, load_settings
from pipeline.store import connect
from tests.pipeline.events import ARRIVAL_MS, scored
from workers.totals import print_totals

pytestmark = pytest.mark.servers
TRACKS = ("all", "咖啡", "n" * 120, "[bold]odd[/bold]", *(f"brand number {n}" for n in range(12)))


@pytest.fixture(scope="module")
def settings(redis_url: str) -> Settings:
    settings = load_settings(redis=redis_url.replace("/0", "/7"))
    client = connect(settings.redis)
    client.flushdb()
    log = [scored(n, n, tracks=TRACKS) for n in range(20)]
    folder = Folder(client, 3_600_000, 3_600_000)
    folder.position(0)
    assert folder.fold(0, Position(), log, 20, ARRIVAL_MS).applied
    return settings


@pytest.mark.parametrize("columns", [80, 60, 200])
def test_the_table_fits_the_terminal(
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    print_totals(settings, as_json=False)
    said = capsys.readouterr().out
    assert max(cell_len(line) for line in said.splitlines()) <= columns
    assert "…" not in said
    for name in ("咖啡", "[bold]odd[/bold]", "brand number 11"):
        assert name in said


def test_one_track_alone(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    print_totals(settings, as_json=True)
    every = json.loads(capsys.readouterr().out)
    assert set(every) == set(TRACKS)
    print_totals(settings, as_json=True, tracks=["咖啡"])
    assert json.loads(capsys.readouterr().out) == {"咖啡": every["咖啡"]}
    print_totals(settings, as_json=False, tracks=["咖啡", "all"])
    said = capsys.readouterr().out
    assert "咖啡" in said
    assert "brand" not in said
    with pytest.raises(SettingsError, match="--track brnad: nothing was counted of it; there are"):
        print_totals(settings, as_json=False, tracks=["brnad"])
