# make search | make test: the two commands a newcomer needs. Both set everything up first.
# Slow tests that start Ray fill the machine: they are one xdist group, so that they run one at a time.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: setup search test check bench clean

setup: $(READY)

$(READY): requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	touch $(READY)

search: setup
	$(RUN) search/run.py --space spaces/backbones.yaml $(ARGS)

test: setup
	$(RUN) -m pytest -m "not slow and not benchmark" -q -n 2
	$(RUN) -m pytest -m slow -q -n 2 --dist loadgroup

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-cache --no-logo
	$(RUN) -m pytest -q tests/test_house.py

bench: setup
	$(RUN) -m pytest -m benchmark -q -s tests/benchmarks

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
