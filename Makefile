# Every target starts from `make setup`, which needs Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin
# Hundreds of processes start in the tests: with compiled modules kept each takes a third to a half
# of the time, also where the user's own setting is to keep none.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup lock demo test test-parts test-local test-system lint generated screenshot browser trials bench clean

setup: .venv/.stamp

# In the words of any Python, also of one that is too old.
NEW_ENOUGH := import sys; sys.version_info >= (3, 11) or sys.exit("make setup: Python 3.11 or newer \
is needed, and $(PYTHON) is %d.%d; name another one: make setup PYTHON=python3.12" % sys.version_info[:2])
# Whether .venv was made whole, and by a Python that will do; else it is made anew.
WHOLE := $(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null && \
    { test -x $(BIN)/uv || $(BIN)/python -m pip --version >/dev/null 2>&1; }

.venv/.stamp: requirements-dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { $(WHOLE); } || { echo "make setup: there is no $(PYTHON);" \
	    "install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; exit 1; }
	@{ $(WHOLE); } || $(PYTHON) -c '$(NEW_ENOUGH)'
	@{ $(WHOLE); } || { rm -rf .venv && $(PYTHON) -m venv .venv; } || { rm -rf .venv; \
	    echo "make setup: $(PYTHON) cannot make a virtual environment in $(CURDIR), as it says above;" \
	    "on Debian and Ubuntu it needs the package python3-venv" >&2; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c "from workers.local.kafka import jars; jars(print)"
	@touch $@

# Resolve pyproject.toml again into pinned, hashed requirements: to run, and to work on it.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate
lock: setup
	$(COMPILE) --group dev --extra train pyproject.toml -o requirements-dev.txt
	$(COMPILE) --constraint requirements-dev.txt pyproject.toml -o requirements.txt

demo: setup
	@$(BIN)/weathervane demo

# Much of the time is spent waiting for real servers: three parts side by side, each with its own.
# What goes with which part is chosen so that they end at about the same time.
LENT := tests/workers/test_infer.py
PARTS := $(filter-out tests/workers/ tests/deploy/,$(wildcard tests/*/)) $(wildcard tests/test_*.py) $(LENT)
LOCAL := $(wildcard tests/workers/test_local_*.py) $(addprefix tests/workers/test_,\
    cli.py demo.py docs_commands.py nowhere.py pipeline.py where.py)
test: setup
	@$(MAKE) --no-print-directory --jobs=3 test-parts test-local test-system

test-parts: setup
	$(BIN)/pytest $(PARTS)

test-local: setup
	$(BIN)/pytest $(LOCAL)

test-system: lint
	$(BIN)/pytest tests/workers tests/deploy $(addprefix --ignore=,$(LENT) $(LOCAL))

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The files that are made from the code: schemas.
generated: setup
	$(BIN)/python -m pipeline.schemas docs/schemas

# Pictures of the page for the README; needs Chromium and ChromeDriver.
screenshot: setup
	$(BIN)/python -m workers.screenshot docs/images

# The page in a real browser; needs Chromium and ChromeDriver.
browser: setup
	$(BIN)/pytest -m browser tests/browser

# Faults that the system must survive, each injected for real: `make trials T=1`.
trials: setup
	$(BIN)/pytest -m trial tests/trials tests/pipeline tests/workers/test_demo.py $(if $(T),-k "trial_$(T)_ or trial_$(T)a_ or trial_$(T)b_")

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .weathervane build *.egg-info
