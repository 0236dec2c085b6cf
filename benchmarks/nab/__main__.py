"""`python -m benchmarks.nab [FOLDER]`: the corpus is looked for beside the repository."""

import sys
from pathlib import Path

from benchmarks.nab.run import main

main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
