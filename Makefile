# make run    sets everything up and opens the manager
# make test   sets everything up and runs all tests
VENV := .venv
PYTHON := $(VENV)/bin/python
PYTEST := $(PYTHON) -m tests.reaper $(PYTHON) -m pytest
# One worker more than there are cores, since each waits for its guests now and then; each has a libvirtd of its own.
# More than four would only wait for the longest group.
SIDE_BY_SIDE := -n $(shell expr $$(nproc) + 1) --maxprocesses 4 --no-loadscope-reorder
# Emulated guests on a busy machine are late now and then. What fails is tried once more and named with its traceback;
# where more than five of the thousands need that, something is wrong and the run fails.
SECOND_TRY := --reruns 1 --max-suite-reruns 5 --rerun-show-tracebacks

.PHONY: help run test test-fast test-debian13 lint format bench screenshots clean

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(VENV)/run.stamp ## set everything up and open the manager
	@scripts/run

test: $(VENV)/test.stamp ## all tests, with real guests and a real window on a virtual screen
	$(PYTEST) $(SIDE_BY_SIDE) $(SECOND_TRY)

test-fast: $(VENV)/test.stamp ## tests without the full Debian guest
	$(PYTEST) $(SIDE_BY_SIDE) $(SECOND_TRY) -m "not debian"

test-debian13: ## all tests, in a fresh tree of Debian 13
	scripts/test-in-debian trixie

lint: $(VENV)/test.stamp ## ruff, mypy, import contracts
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/test.stamp ## put the code into its form
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: $(VENV)/test.stamp ## print speed, memory, idle cost, what templates and windows of guests cost
	$(PYTHON) -m bench.bench
	$(PYTHON) -m bench.templates
	$(PYTHON) -m bench.disposables
	$(PYTHON) -m bench.gui
	$(PYTHON) -m bench.viewer
	$(PYTHON) -m bench.wire
	$(PYTHON) -m bench.crossing
	$(PYTHON) -m bench.file_copies
	$(PYTHON) -m bench.clipboard
	$(PYTHON) -m bench.network
	$(PYTHON) -m bench.devices

screenshots: $(VENV)/test.stamp ## take the pictures of the README anew
	$(PYTEST) tests/e2e tests/integration/gui tests/integration/desk
	env -u DISPLAY -u WAYLAND_DISPLAY scripts/run
	mkdir -p docs/pictures
	convert build/manager.png -colors 128 docs/pictures/manager.png
	for name in desktop consoles dark logs devices new-app assistant volumes; do \
	  convert build/pictures/$$name.png -colors 128 docs/pictures/$$name.png; done
	@echo "docs/pictures/wayland.png is of two domains on Weston, by hand"
	convert build/pictures/asking.png -crop 520x580+380+125 +repage docs/pictures/asking.png

clean: ## remove what was built; the guests in the cache stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/run.stamp: pyproject.toml scripts/packages
	scripts/packages run
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/test.stamp: pyproject.toml scripts/packages
	scripts/packages run test
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
