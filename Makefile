# Every target works in .venv, which is built on first use and again when what it is built from changes.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types layers

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

install: $(INSTALLED)  ## Build .venv with kinema and everything its tests need

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'kinema needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)' >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@

demo: install  ## Draw a video with sound, and ask the embedded model three questions about it
	@$(BIN)/python examples/demo.py

test: install  ## Run the whole suite
	$(BIN)/python -m pytest

lint: install  ## Check style and layout of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install  ## Check types
	$(BIN)/mypy

layers: install  ## Check that imports go down only
	$(BIN)/lint-imports --no-logo
