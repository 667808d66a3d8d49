# make search | make test: the two commands a newcomer needs. Both set everything up first.
# Slow tests that start Ray fill the machine: they are one xdist group, so that they run one at a time.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: setup search test check faults bench bench-quick clean

setup: $(READY)

$(READY): requirements.lock
	@$(PYTHON) -c "import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" 2>/dev/null || \
		{ echo "error: \`$(PYTHON)\` is missing, lacks venv, or is not Python 3.11 to 3.13. Install Python 3.11 (Debian," \
		"Ubuntu: apt install python3.11-venv; elsewhere: uv python install 3.11), or name the one to use: make setup PYTHON=python3.12" >&2; exit 1; }
	@df -Pk . | awk 'NR == 2 && $$4 < 8e6 {exit 1}' || \
		{ echo "error: less than 8 GB are free on this disk, and the environment takes 7; make room, then go on with the" \
		"same command" >&2; exit 1; }
	@echo "setting up $(VENV): pip fetches about 3 GB (torch brings CUDA, also where there is no GPU; docs/quickstart.md" \
		"has the CPU build) and takes 7 GB of disk and some minutes"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --disable-pip-version-check -r requirements.lock
	@touch $(READY)

search: setup
	$(RUN) search/run.py --space spaces/backbones.yaml $(ARGS)

test: setup
	$(RUN) -m pytest -m "not slow and not benchmark and not faults" -q -n 2
	$(RUN) -m pytest -m slow -q -n 2 --dist loadgroup

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(RUN) -m pytest -q tests/test_house.py

faults: setup
	@rm -rf build/faults
	LSSAT_FAULTS=$(CURDIR)/build/faults $(RUN) -m pytest -m faults -q tests
	$(RUN) -m tests.faults.page build/faults

bench: setup
	$(RUN) -m pytest -m benchmark -q -s tests/benchmarks
	$(RUN) -m tests.benchmarks.performance --output docs/performance.md
	$(RUN) -m tests.benchmarks.scaling --output docs/scaling.md

bench-quick: setup
	$(RUN) -m tests.benchmarks.performance --quick

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
