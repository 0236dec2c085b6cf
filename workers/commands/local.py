"""`up`, `down`, `status`, `logs`, `restart` and `demo`: the whole system on this machine."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.errors import WeathervaneError
from pipeline.settings import Settings, load_settings
from workers.commands.context import (
    DEMO,
    HOME,
    SERVERS,
    cluster,
    known_here,
    running_here,
    settings_of,
)
from workers.local.cluster import Cluster
from workers.local.folder import explained


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(demo)
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command()(logs)
    app.command()(restart)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Score the posts of one day, say the counts, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The counts as one JSON object.")] = False,
) -> None:
    """Run a system of its own on real posts, with a page to open, until Ctrl-C.

    It lies in .weathervane/demo, has a Kafka and a Redis of its own, and writes into no other.

    Example: weathervane demo --once --json
    """
    from workers.demo import run_demo

    run_demo(load_settings(), once, as_json)


def up(
    infer: Annotated[
        int | None, typer.Option(min=1, help="Number of infer workers; 1, or as before.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=1, help="Longest wait for the workers, in seconds.")
    ] = 120,
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget the settings of earlier starts.")
    ] = False,
) -> None:
    """Start Kafka, Redis and all workers from .weathervane/ and return once they are ready.

    The settings are remembered. Called again, it starts anew only those workers of which a setting
    changed, and says which.

    Example: weathervane up && weathervane status
    """
    from workers import remembered
    from workers.stack import check_wish, start

    with explained(HOME):
        kept = remembered.load(HOME)
    if kept is not None and not forget:
        names = remembered.recall(Cluster(HOME), kept)
        if names:
            _say(f"remembered from the last start: {', '.join(names)} (up --forget drops them)")
    settings = load_settings()
    local = cluster(settings)
    workers = infer or (kept.infer if kept is not None and not forget else 1)
    check_wish(settings)
    if kept is not None and local.is_running():
        for line in remembered.differences(kept, settings, workers):
            _say(line)
    started = start(local, settings, workers, wait=wait)
    with explained(HOME):
        remembered.remember(HOME, settings, workers)
    _say_other_port(settings, local)
    print("ready" if started else "already running", f"- the page is at {local.endpoints().page}")


def _say_other_port(settings: Settings, local: Cluster) -> None:
    got = local.endpoints().page_port
    if "page_port" in settings.model_fields_set and settings.page_port != got:
        _say(f"port {settings.page_port} is taken by another program; the page has {got} instead")


def down(
    wipe: Annotated[
        bool, typer.Option("--wipe", help="Also delete all posts, counts, alerts and logs.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before --wipe.")] = False,
) -> None:
    """Stop what `up` started. The data stay in .weathervane/ unless --wipe is given.

    Example: weathervane down --wipe --yes
    """
    local = Cluster(HOME)
    if wipe:
        _wipe(local, yes)
        return
    print("stopped" if local.down() else "nothing was running")
    if Cluster(DEMO).is_running():
        _say("the demo of this folder goes on: Ctrl-C in its terminal ends it")


def _wipe(local: Cluster, yes: bool) -> None:
    if not local.home.exists():
        print(f"there is nothing to wipe: there is no {local.home}")
        return
    with explained(HOME):
        HOME.mkdir(exist_ok=True)
    if Cluster(DEMO).is_running():
        raise WeathervaneError("a demo runs in this folder: end it with Ctrl-C in its terminal")
    if not yes:
        question = f"Delete all posts, counts, alerts, logs and settings in {local.home}, for good?"
        if not sys.stdin.isatty():
            raise WeathervaneError(
                f"--wipe deletes everything in {local.home} and asks before, on a terminal; "
                "elsewhere add --yes"
            )
        if not typer.confirm(question, err=True):
            raise WeathervaneError("nothing was stopped or deleted")
    left = local.wipe()
    print(f"wiped {local.home}")
    if left:
        _say(f"left what weathervane did not put there: {', '.join(left)}")


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say which servers and workers run, where, and how they are; exit 1 where one is down.

    Example: weathervane status --json
    """
    from workers.status import print_status

    local, settings = running_here(), load_settings()
    if local is not None:
        settings = settings_of(local)
    elif any(getattr(settings, name) for name in SERVERS):
        local = cluster(settings)
    good = print_status(local or known_here(), settings, as_json)
    if not good:
        raise typer.Exit(1)


def logs(
    name: Annotated[str | None, typer.Argument(help="As in status; all of them if none.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="So many of the last.")] = 20,
) -> None:
    """Print the last lines of the logs of what `up` or `demo` started here, and follow them.

    Example: weathervane logs infer -f
    """
    from workers.logs import print_logs

    print_logs(known_here(), name, lines, follow)


def restart(
    name: Annotated[str, typer.Argument(help="A worker, or kafka or redis, as in status.")],
    wait: Annotated[float, typer.Option(min=1, help="Longest wait for it, in seconds.")] = 120,
) -> None:
    """Let a worker finish what it has in hand, start it again, and return once it is ready.

    Example: weathervane restart infer
    """
    known_here().restart(name, wait)
    print(f"{name} was restarted")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
