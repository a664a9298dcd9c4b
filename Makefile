# `make test` sets everything up (.cache/, nothing else) and runs the whole everyday suite.
PYTHON ?= python3
VENV := .cache/venv/bin
ARGS ?=

.PHONY: setup test check clean

setup:
	@$(PYTHON) tools/setup/environment.py

test: setup
	@$(VENV)/ruff check .
	@$(VENV)/python -m pytest $(ARGS)

check: test

clean:
	rm -rf .cache/venv .cache/setup.stamp
