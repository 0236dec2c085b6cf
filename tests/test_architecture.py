"""The rules that hold between the packages."""

import re
import subprocess
import sys
from pathlib import Path

import models.labels
from pipeline import event
from pipeline.settings import load_settings
from pipeline.topics import topic_specs

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "workers", "models")


def test_the_packages_import_only_what_they_may() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_only_the_settings_read_the_environment() -> None:
    reads = re.compile(r"os\.(environ|getenv)|from os import.*(environ|getenv)")
    found = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        if reads.search(file.read_text(encoding="utf-8"))
    }
    # The supervisor hands the environment on to its children, and reads nothing from it.
    assert found <= {"pipeline/settings.py", "workers/local/supervision.py"}


def test_models_and_events_name_the_labels_alike() -> None:
    assert models.labels.EMOTIONS == event.EMOTIONS == event.Emotions.__struct_fields__
    assert models.labels.POLARITIES == event.POLARITIES == event.Polarity.__struct_fields__


def test_posts_and_sentiment_are_partitioned_alike() -> None:
    partitions = {spec.name: spec.partitions for spec in topic_specs(load_settings())}
    assert partitions["posts"] == partitions["sentiment"]
