"""The table of the trials: one row each, written to docs/trials.md after every run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "trials.md"
HEAD = "| # | fault | posts | lost | double | wrong cells | recovery, s | verdict | run on |"

INTRODUCTION = """\
# Trials

Each trial starts the whole system with `weathervane up` in an empty folder, sends posts, injects
a fault for real, checks that the fault happened, and asks an oracle (`tests/trials/oracle.py`)
that reads Kafka's topics and Redis alone:

- **lost**: ids with fewer events in `sentiment` and notes in `shed` than raw records that were
  not dead-lettered;
- **double**: ids with more, or records with two dead letters;
- **wrong cells**: counters of the store (minute, hour, day, total; by track, emotion and polarity;
  duplicates; late; shed, and the weights of what was kept) that differ from a recomputation out of
  `sentiment`, each id counted once, and `shed`.

The page has to show the same total. **Recovery** is the longest time, over the faults of a trial,
from the fault (from its end, where something was stopped or unreachable) until the stage that it
hit handled new posts: ingest and infer by committed offsets, aggregate by the store.
`tests/trials/test_oracle.py` checks that the oracle catches planted errors.

```
make trials                                           # all of them
make trials T=5                                       # one of them
.venv/bin/pytest -m trial tests/trials --posts 20000  # with more posts
```

The rows below were written by such runs, on 2 cores shared with other work.

"""

LEFT_OUT = """
Trials that cut networks, fill disks or bound memory need root and Linux, and are skipped with a
reason elsewhere. `--overload-seconds 600` and `--soak-minutes 120` are the full forms of 13 and
25; each row says how long its run was.

`python -m tests.trials.outside` checks the promise from outside: it kills workers and Redis at
random while it sends 20,000 posts, uses the command line and confluent-kafka alone, and compares
sets and totals. `pytest -m trial tests/pipeline/test_delivery_faults.py` does the like to the
delivery loop alone, with a stub for the model and members that are killed, stopped past their
session and ended, and looks at the order of each key as well.
"""


@dataclass
class Row:
    """What is said of one trial."""

    number: str
    """As in the list of trials, with a letter where one of them is tried twice."""
    fault: str
    posts: int = 0
    lost: int | None = None
    double: int | None = None
    wrong: int | None = None
    recovery: float | None = None
    verdict: str = "did not end"
    date: str = ""

    def __str__(self) -> str:
        seconds = "–" if self.recovery is None else f"{self.recovery:.1f}"
        counts = ("?" if n is None else str(n) for n in (self.lost, self.double, self.wrong))
        cells = (self.number, self.fault, f"{self.posts:,}", *counts, seconds)
        return f"| {' | '.join((*cells, self.verdict, self.date))} |"


def write(rows: list[Row], page: Path = PAGE) -> None:
    """Write the page with these rows; trials that were not run keep their former line."""
    lines = page.read_text(encoding="utf-8").splitlines() if page.exists() else []
    kept = {number: line for line in lines if (number := _number(line)) is not None}
    found = kept | {row.number: str(row) for row in rows}
    table = sorted(found.items(), key=lambda item: (int(item[0].rstrip("ab")), item[0]))
    rule = "|" + " --- |" * (HEAD.count("|") - 1)
    body = "\n".join([HEAD, rule, *(line for _, line in table)])
    page.write_text(f"{INTRODUCTION}{body}\n{LEFT_OUT}", encoding="utf-8")


def _number(line: str) -> str | None:
    found = re.match(r"\| (\d+[ab]?) \| ", line)
    return found[1] if found else None
