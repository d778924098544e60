# Everything here needs only Python 3.11 to 3.14 and make. `make` alone lists the targets.

PYTHON ?= $(or $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1 \
	&& echo $$p && break; \
	done),python3)
INSTALL = $(PYTHON) tools/install.py
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)
NEWEST := .venv-newest/$(SCRIPTS)
TESTS := --nbval --nbval-current-env --nbval-sanitize-with=tests/nbval_sanitize.cfg \
	-n2 --dist=loadscope --ignore=tests/environments tests notebooks
LAB_FLAGS ?=
LESSON ?=
BUDGETS_FLAGS ?=
LOCK_FLAGS ?=

# Text is UTF-8 everywhere, as from Python 3.15 on.
export PYTHONUTF8 := 1

.PHONY: help lab teach test test-environments test-newest notebooks slides slides-pdf solutions weights bench budgets lock clean

help: ## List the targets.
	@grep -E '^[a-z-]+: .*##' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/make \1	\2/' | expand -t 24

lab: ## Install the course if need be, and open JupyterLab on the first lesson.
	@$(INSTALL)
	@$(BIN)/python tools/lab.py $(LAB_FLAGS)

teach: ## Open a lesson in JupyterLab for a projector: make teach LESSON=08b.
	@$(INSTALL)
	@$(BIN)/python tools/lab.py --teach $(LESSON) $(LAB_FLAGS)

test: ## Check everything: style, types, notebooks, tests.
	@$(INSTALL) test slides
	@$(BIN)/python tools/chromium.py
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python tools/notebooks.py check
	$(BIN)/python -m pytest $(TESTS)

test-environments: ## Check what is too heavy for `make test`: Binder, Colab, a class, bad days; an hour.
	@$(INSTALL) test slides environments
	@$(BIN)/python tools/chromium.py
	$(BIN)/python -m pytest tests/environments

test-newest: ## Check the newest release of every dependency instead of the pins; says what broke.
	@$(INSTALL) --newest test slides
	@$(NEWEST)/python tools/chromium.py
	$(NEWEST)/python -m tools.newest $(TESTS)

notebooks: ## Run every notebook from top to bottom, and bring it into its committed form.
	@$(INSTALL) test slides
	$(BIN)/python tools/solved.py --to notebooks/solutions notebooks/challenge_*.ipynb
	$(BIN)/python -m tools.links
	$(BIN)/python tools/notebooks.py execute
	$(BIN)/python tools/notebooks.py normalise

slides: ## Build the lessons' slides into build/slides, each deck one file that needs no network.
	@$(INSTALL) slides
	$(BIN)/python -m tools.slides

slides-pdf: ## Build the slides and print them, a page for each slide.
	@$(INSTALL) slides
	@$(BIN)/python tools/chromium.py
	$(BIN)/python -m tools.slides --pdf

solutions: ## Write every lesson with its exercises solved into build/solutions.
	@$(INSTALL)
	$(BIN)/python tools/solved.py --to build/solutions

weights: ## Train the translator and the language model that the course ships; minutes.
	@$(INSTALL) test slides
	$(BIN)/python -m tools.weights

bench: ## Measure the speed of the course's code beside others'.
	@$(INSTALL) test slides
	$(BIN)/python -m tools.bench

budgets: ## Measure what each lesson costs, hold it to its bounds, and write it into the lessons.
	@$(INSTALL) test slides
	$(BIN)/python -m tools.budgets $(BUDGETS_FLAGS)

lock: ## Pin new dependencies; LOCK_FLAGS=--upgrade renews every pin.
	$(PYTHON) -m tools.lock $(LOCK_FLAGS)

clean: ## Remove the environment and everything built.
	rm -rf .venv .venv-newest build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
