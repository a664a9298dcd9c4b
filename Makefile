# `make demo` runs the whole line on this machine, `make test` the whole everyday suite, `make check` lints first,
# `make bench ARGS="line"` measures. Each sets up what it needs in .cache/; system packages are installed with root or
# sudo, or named. `make trial ARGS="bookworm"` tries both commands in a clean Debian.
PYTHON ?= python3
VENV := .cache/venv/bin
ARGS ?=

.PHONY: setup mpy demo kills powercuts noise deliveries figures bitequal test cortex bench rig check trial picture conform clean

setup:
	@$(PYTHON) tools/setup/environment.py

demo:
	@$(PYTHON) tools/setup/environment.py --for demo
	@$(VENV)/python -m plumeproof demo $(ARGS)

kills:
	@$(PYTHON) tools/setup/environment.py --for demo
	@$(VENV)/python -m tools.campaign $(ARGS)

powercuts: setup
	@$(VENV)/python -m tools.powercuts $(ARGS)

noise: setup
	@$(VENV)/python -m tools.noise $(ARGS)

deliveries: setup
	@$(VENV)/python -m tools.deliveries $(ARGS)

figures: setup
	@$(VENV)/python -m tools.figures $(ARGS)

bitequal: setup
	@$(VENV)/python -m tools.bitequal $(ARGS)

# Three workers on two cores: much of the suite waits for real lines.
test: setup
	@$(VENV)/python -m pytest -n 3 --dist loadfile $(ARGS)
	@$(PYTHON) tools/setup/browser.py --remark
	@$(PYTHON) tools/setup/interpreter.py --remark

# The same firmware on the emulated Cortex-M; the first run builds its image, and installs compiler and QEMU.
cortex: setup
	@$(PYTHON) tools/setup/cortex.py
	@$(VENV)/python -m pytest -m cortex tests/system $(ARGS)

# The module's program as .mpy files for boards, with their sizes; what mip reads is written anew.
mpy: setup
	@$(VENV)/python -m tools.mpy --list
	@$(VENV)/python -m tools.mpy $(ARGS)

bench: setup
	@$(VENV)/python -m tools.bench $(ARGS)

# The suite of a rig and its report; without ARGS on the emulated one (tests/hil/README.md).
rig: setup
	@$(VENV)/python -m tools.rig run $(ARGS)

picture: setup
	@$(VENV)/python -m tools.picture $(ARGS)

conform: setup
	@$(VENV)/python -m tools.eu_platform.conformance $(ARGS)

trial:
	@$(PYTHON) tools/trial/clean_root.py $(ARGS)

check: setup
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/python -m pytest -n 3 --dist loadfile $(ARGS)

clean:
	rm -rf .cache/venv .cache/referees .cache/peers .cache/broker .cache/browser
