# make demo: install into .venv and train the embedded dataset.  make test: run the tests.
# PIP_FLAGS goes to pip, e.g. PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" for torch without CUDA.
PYTHON ?= python3.11
PIP_FLAGS ?=
BIN := .venv/bin

.PHONY: demo test lint repro

demo: .venv/installed
	$(BIN)/xmlcli train --dataset demo

test: .venv/installed
	$(BIN)/python -m pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

repro: .venv/installed
	$(BIN)/dvc repro

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --editable ".[dev]"
	touch $@
