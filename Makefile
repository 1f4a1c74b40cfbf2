# PIP_FLAGS goes to pip, e.g. PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" for torch without CUDA.
PYTHON ?= python3.11
PIP_FLAGS ?=
# ARGS goes to the drivers of tests/reliability, e.g. make crash ARGS="--count 20 --seed 2"
ARGS ?=
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint repro chart crash corrupt fuzz soak mutate check

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed  ## install into .venv, then train and measure the built-in dataset
	$(BIN)/xmlcli train --dataset demo

test: .venv/installed  ## run the tests
	$(BIN)/python -m pytest

lint: .venv/installed  ## check style, types and the contract of imports
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

repro: .venv/installed  ## train the demo by DVC
	$(BIN)/dvc repro

chart: .venv/installed  ## draw the picture of README from the tables in benchmarks/
	$(BIN)/python benchmarks/accuracy_chart.py

crash: .venv/installed  ## kill trainings 250 times, and compare what comes of them
	$(BIN)/python tests/reliability/crash.py $(ARGS)

corrupt: .venv/installed  ## damage 500 files, and run every command on them
	$(BIN)/python tests/reliability/corrupt.py $(ARGS)

fuzz: .venv/installed  ## give each reader 100,000 wrong inputs
	$(BIN)/python tests/reliability/fuzz.py $(ARGS)

soak: .venv/installed  ## train and predict for two hours in one process, and see what grows
	$(BIN)/python tests/reliability/soak.py $(ARGS)

mutate: .venv/installed  ## make small changes to the program, one at a time, and count those that the tests notice
	$(BIN)/python tests/reliability/mutate.py

check:  ## run everything in a clean copy, as the workflow does
	PYTHON=$(PYTHON) .ci/run

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --editable ".[dev]"
	touch $@
