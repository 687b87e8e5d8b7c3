# The habits of the house: `make demo` shows it, `make test` proves it, `make check` is what CI runs on the text.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check fix bench faults fuzz autobahn container-check setup

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	PYTHON=$(PYTHON) scripts/setup $(VENV)
	touch $@

demo: setup
	$(BIN)/gateway demo

test: setup
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# For example: make bench BENCH=latency
bench: setup
	$(BIN)/python -m benchmarks $(BENCH)

# For example: make fuzz FUZZ="--seconds 300 --target request_stream"
fuzz: setup
	$(BIN)/python -m tests.fuzz $(FUZZ)

# For example: make faults FAULTS="--seconds 600 --seed 7 --store redis"
faults: setup
	$(BIN)/python -m tests.faults $(FAULTS)

# Every case of the WebSocket test suite, directly and through the gateway; or CASES="12.* 13.*".
autobahn: setup
	$(BIN)/python -m tests.autobahn $(CASES)

container-check:
	scripts/container-check
