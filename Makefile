# `make test` installs what the project needs into .venv, lints, and runs the tests.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help venv test clean

help:
	@echo "make venv   make the virtual environment in .venv and install requirements-dev.txt"
	@echo "make test   the same, then lint and run the tests"
	@echo "make clean  remove .venv and every cache"

venv: .venv/installed

.venv/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	touch $@

test: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

clean:
	rm -rf .venv .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
