"""What runs without Kafka: the model, the spike detector, and the check of what both need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.settings import load_settings
from workers.commands.context import settings_here


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(score)
    app.command()(predict)
    app.command()(train)
    app.command()(evaluate)
    app.command()(compare)
    app.command()(detect)
    app.command()(check)


def score(
    *,
    text: Annotated[str | None, typer.Option(help="The words of a post.")] = None,
    image: Annotated[Path | None, typer.Option(help="JPEG, PNG or WebP.")] = None,
    audio: Annotated[Path | None, typer.Option(help="WAV, FLAC, Ogg, MP3, M4A or WebM.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Also say why.")] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Draw the explanation.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Score one post here and now, without Kafka, and say which modality spoke for what.

    Example: weathervane score --text "I am so happy today!" --image a.jpg
    """
    from workers.score import print_explained, print_score

    if text is None and image is None and audio is None:
        raise typer.BadParameter("give at least one of --text, --image, --audio")
    if explain or picture is not None:
        settings = load_settings()
        print_explained(settings, text, image, audio, as_json=as_json, picture=picture)
    else:
        print_score(load_settings(), text, image, audio, as_json)


def predict(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN.parquet", help="Or CSV, JSON Lines: id, and text, image or audio."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="OUT.parquet", help="One row for each row in.")],
) -> None:
    """Score the rows of a file by whichever of text, image and audio each has.

    Example: weathervane predict posts.parquet --out scores.parquet
    """
    from workers.predict import predict as run_predict

    run_predict(load_settings(), source, out)


def evaluate(
    *,
    data: Annotated[
        Path, typer.Option(help="Folder of corpora: NAME/dev.parquet, or a folder of datasets.")
    ],
    split: Annotated[str, typer.Option(help="Which split.")] = "dev",
    corpus: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Release: a shipped name, folder or hub name; repeat to compare."),
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Also with parts missing, added and spoilt.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, scores.json and plots.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Score the shipped model (or the one WEATHERVANE_RELEASE names) on labelled corpora.

    Example: weathervane evaluate --data data --split dev --out report
    """
    from workers.predict import Evaluation, print_evaluation

    wanted = Evaluation(data, split, tuple(corpus or ()), tuple(model or ()), robustness, out)
    print_evaluation(load_settings(), wanted, as_json)


def train(
    data: Annotated[Path, typer.Option(help="Folder of corpora: NAME/train.parquet, …")],
    out: Annotated[Path, typer.Option(help="Folder of the new release; checkpoints beside it.")],
    recipe: Annotated[Path, typer.Option(help="TOML recipe.")] = Path("recipes/fused-joint.toml"),
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = True,
) -> None:
    """Train a model from a recipe, evaluate it on held-out data, and write a release.

    Example: weathervane train --recipe recipes/fused-joint.toml --data data --out .runs/first
    """
    from models.training import train as run_training
    from workers.clean import clean

    run_training(recipe, data, out, resume, device=load_settings().device, clean=clean)


def compare(
    data: Annotated[Path, typer.Option(help="Folder of corpora: NAME/train.parquet, …")],
    recipe: Annotated[Path, typer.Option(help="TOML recipe.")] = Path("recipes/compare.toml"),
    *,
    out: Annotated[Path, typer.Option(help="Where finished rows lie.")] = Path(".runs/compare"),
    write: Annotated[
        Path | None, typer.Option(metavar="PAGE.md", help="Put the tables between its markers.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Rows to make anew: task, model or TASK/MODEL."),
    ] = None,
    finished: Annotated[bool, typer.Option(help="Show what is finished; train nothing.")] = False,
) -> None:
    """Train every tower and fusion on the same posts and compare them; finished rows are kept.

    Example: weathervane compare --data data --write docs/models.md
    """
    from workers.compare import print_comparison

    print_comparison(
        load_settings(), recipe, data, out, page=write, only=only or [], finished=finished
    )


def detect(
    source: Annotated[Path, typer.Argument(metavar="IN.csv", help="Rows of a time and a value.")],
    out: Annotated[
        Path, typer.Option(metavar="OUT.csv", help="The rows; score, anomaly, direction.")
    ],
) -> None:
    """Find spikes in a series, row by row: a row is judged by the rows before it and itself.

    Example: weathervane detect mentions.csv --out spikes.csv
    """
    from workers.detect import detect_csv

    detect_csv(source, out)


def check(
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="These checks alone; repeat it for several."),
    ] = None,
    *,
    model: Annotated[bool, typer.Option("--model", help="Load the model as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Say what would hurt: settings, servers, topics, clocks, disks, tracks, channels, model.

    A line each: ok, warning (it works, and is less than one may expect) or failed, and then exit 1.

    Example: weathervane check --only kafka --only redis
    """
    from workers.check import run_checks

    run_checks(settings_here(), only or [], load_model=model, as_json=as_json)
