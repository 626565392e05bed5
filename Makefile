# Every target does its own set-up, in .venv; Python 3.11 or newer is all that is needed.
PYTHON ?= python3
BIN := .venv/bin
# two test processes with one thread each are quicker than one process with many threads
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(or $(JOBS),2) --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo test light coverage docs fuzz bench ablation clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

setup: .venv/.ready ## make .venv with everything that demo, test and docs need

.venv/.ready: pyproject.toml connectors/catalogs/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e ".[open-clip,transformers,anthropic,evaluation,dev,docs]" -e connectors/catalogs
	touch $@

demo: setup ## render a catalogue, search it by criterion, write demo/index.html
	$(BIN)/crl-qdrant demo --out demo

test: setup light ## ruff, mypy, the light install and pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(PYTEST)

light: ## install without extras into .venv-light, check its size and that it searches
	$(PYTHON) tests/light_install/check_light_install.py .venv-light

coverage: setup ## pytest with branch coverage, and the floor below which it fails
	$(PYTEST) --cov --cov-report=term --cov-report=html:coverage

docs: setup ## build the documentation with its API and command reference into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

fuzz: setup ## 20,000 random inputs for each target; only our errors may come out
	FUZZ_EXAMPLES=20000 $(BIN)/pytest --timeout 0 tests/fuzz

bench: setup ## measure against the bare engine, and against doing it by hand
	$(BIN)/python tests/benchmarks/embedded.py
	$(BIN)/python tests/benchmarks/alternatives.py

ablation: setup ## measure what presets and options are worth
	$(BIN)/python tests/benchmarks/ablation.py

clean: ## remove what the other targets made
	rm -rf .venv .venv-light demo site coverage .coverage
