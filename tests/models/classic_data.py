"""Posts in three CSV files whose words, pictures and tones all tell the class."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from tests.models.samples import flac

KINDS = {
    "anger": ("furious", 250, 180.0),
    "joy": ("happy", 120, 320.0),
    "sadness": ("sad", 10, 560.0),
}


def write_folder(folder: Path, count: int, *, ids: bool = True) -> Path:
    """`count` posts, a third of each class, with an `id` column or without."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[dict[str, object]]] = {"text": [], "image": [], "audio": []}
    for number in range(count):
        label = list(KINDS)[number % 3]
        word, grey, hertz = KINDS[label]
        noise = np.random.default_rng(number).integers(-10, 10, (24, 24, 3))
        pixels = np.clip(noise + grey, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / f"{number}.flac").write_bytes(flac(0.2, hertz + number))
        for kind, value in (
            ("text", f"so {word} about thing {number}"),
            ("image", f"{number}.png"),
            ("audio", f"{number}.flac"),
        ):
            column = "text" if kind == "text" else "path"
            key: dict[str, object] = {"id": number} if ids else {}
            tables[kind].append({**key, column: value, "label": label})
    for kind, rows in tables.items():
        write_csv(folder / f"{kind}_data.csv", rows)
    return folder


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    """Rows under a line of their names."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
