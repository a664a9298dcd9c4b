# `make test` sets everything up (.cache/, nothing else) and runs the whole everyday suite; `make check` lints first.
PYTHON ?= python3
VENV := .cache/venv/bin
ARGS ?=

.PHONY: setup test check clean

setup:
	@$(PYTHON) tools/setup/environment.py

test: setup
	@$(VENV)/python -m pytest $(ARGS)

check: setup
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/python -m pytest $(ARGS)

clean:
	rm -rf .cache/venv .cache/referees .cache/setup.stamp
