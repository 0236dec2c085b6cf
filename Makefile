# Every target starts from `make setup`, which needs Python 3.11+, git and make.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup lock demo test lint trials bench screenshot clean

setup: .venv/.stamp

.venv/.stamp: requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Resolve pyproject.toml again into pinned, hashed requirements.
lock: setup
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --group dev pyproject.toml -o requirements.txt

