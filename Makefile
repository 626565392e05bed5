# Both targets do all set-up themselves, in .venv; Python 3.11 or newer is all that is needed.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench ablation clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: .venv/.ready ## make .venv with everything that demo and test need

.venv/.ready: pyproject.toml connectors/catalogs/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e ".[open-clip,transformers,anthropic,evaluation,dev]" -e connectors/catalogs
	touch $@

demo: setup ## render a catalogue, search it by criterion, write demo/index.html
	$(BIN)/crl-qdrant demo --out demo

test: setup ## ruff, mypy and pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

bench: setup ## measure against the bare engine, and against doing it by hand
	$(BIN)/python tests/benchmarks/embedded.py
	$(BIN)/python tests/benchmarks/alternatives.py

ablation: setup ## measure what presets and options are worth
	$(BIN)/python tests/benchmarks/ablation.py

clean: ## remove .venv and what demo wrote
	rm -rf .venv demo
