"""Run benchmarks by name, or all of them."""

from __future__ import annotations

import importlib
import sys

NAMES = ("codec", "fold", "delivery", "text_model", "nab", "spikes")


def main() -> None:
    """Run those that are named on the command line."""
    wanted = sys.argv[1:] or NAMES
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        sys.exit(f"benchmarks: there is no {unknown[0]}; there are: {', '.join(NAMES)}")
    for name in wanted:
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
