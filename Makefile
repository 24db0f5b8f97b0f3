# FlowForge. `make help` lists the targets; every one does its own set-up.
PYTHON ?= python3
VENV := .venv
FLOOR ?= ../shared/bench/floor.py
BIN := $(VENV)/bin
# each has servers of its own; one more than cores, since tests wait for a quarter of their time
TEST_PROCESSES ?= $(shell n=$$(nproc); echo $$((n > 3 ? 4 : n + 1)))
STAMP := $(VENV)/.installed
CONSOLE := services/console/dist/index.html
CONSOLE_SOURCE := $(shell find services/console/web -type f -not -path '*/node_modules/*' -not -name schema.d.ts) \
	contracts/flowforge/documents/openapi.json
APPLICATIONS := --reads services.projections.api:create_app --writes services.gateway.api:create_app
.DEFAULT_GOAL := help
FUZZ_EXAMPLES ?= 50
.PHONY: help setup up demo test check types-of-code types-of-tests style-kept pages-kept documents-kept check-pages check-deploy documents format fuzz pictures bench test-faults lock clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) $(CONSOLE)  ## a virtual environment with everything, as pinned, and the console's pages

$(STAMP): requirements.lock pyproject.toml contracts/pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e contracts -e .
	@touch $@

$(CONSOLE): $(STAMP) $(CONSOLE_SOURCE)
	@$(BIN)/python services/console/build.py

up: setup  ## start everything on this machine (Ctrl-C stops it)
	@$(BIN)/flowforge up

demo: setup  ## the main job on real data, from an empty folder to the report, then all is stopped
	@$(BIN)/python contracts/examples/demo.py

test: setup  ## everything that a user needs to trust the install
	@$(BIN)/python -m pytest -m "not faults and not bench" --numprocesses $(TEST_PROCESSES) --dist worksteal

check: setup  ## format, lint, types, import rules, documents; under a minute
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target types-of-code types-of-tests style-kept pages-kept documents-kept

style-kept:
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --config pyproject.toml

types-of-code:
	@$(BIN)/pyright contracts/flowforge services infra

types-of-tests:
	@$(BIN)/pyright tests

pages-kept:
	@$(BIN)/python services/console/build.py check

documents-kept:
	@$(BIN)/python -m infra.documents $(APPLICATIONS) --check

check-pages: setup  ## the console's source by ESLint with types: a closer look than make check, a minute
	@$(BIN)/python services/console/build.py lint

check-deploy: .venv-deploy/.installed  ## the image, the compose file and the chart, by hadolint, Helm and Kubernetes' schemas
	@.venv-deploy/bin/python infra/deploy/lint.py

.venv-deploy/.installed: infra/deploy/lint.lock
	@test -x .venv-deploy/bin/python || $(PYTHON) -m venv .venv-deploy
	@.venv-deploy/bin/python -m pip install --quiet --disable-pip-version-check -r infra/deploy/lint.lock
	@touch $@

documents: setup  ## write the OpenAPI and AsyncAPI documents anew from the code
	@$(BIN)/python -m infra.documents $(APPLICATIONS)

format: setup  ## bring the code into its format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test-faults: setup  ## kill every service at every named point, and the servers under it; then look at what is left
	@$(BIN)/python -m pytest -m faults -p no:randomly --timeout 1800

fuzz: setup  ## try every HTTP route with a lot of what it should and should not take
	@FLOWFORGE_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/e2e/test_described_http.py

pictures: setup  ## take the pictures of the console anew (services/console/pictures); look at them
	@$(BIN)/python -m pytest tests/e2e/console/pictures.py --timeout 600

bench: setup  ## measure, beside the floor where that file is present; writes tests/bench/RESULTS.md
	@$(BIN)/python tests/bench/run.py --floor $(FLOOR)

lock: setup  ## write requirements.lock anew from what is installed
	@$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip --exclude flowforge --exclude flowforge-server > requirements.lock

clean:  ## remove what set-up and runs left behind
	rm -rf $(VENV) .venv-deploy .flowforge .pytest_cache .ruff_cache .hypothesis .import_linter_cache
