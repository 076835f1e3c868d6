# Every target makes .venv by itself; Python 3.11 or newer and make are all it needs.
SHELL := /bin/sh
.DEFAULT_GOAL := help
BIN := .venv/bin
STAMP := .venv/.installed
WORKERS ?= 2
DEMO := outputs/demo
# One thread for each worker: two workers on two cores otherwise fight over both.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

define run_tests
	@sh scripts/browser.sh
	@sh scripts/postgres.sh
	$(THREADS) $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal
endef

.PHONY: help install test coverage signatures lint format format-check types demo study calibrate faults soak fuzz clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with vr and everything below

$(STAMP): pyproject.toml constraints.txt scripts/install.sh
	@PYTHON="$(PYTHON)" sh scripts/install.sh

test: $(STAMP) ## Run every test
	$(run_tests) $(ARGS)

# By itself: counting lines takes time, by hand a third more for tests/stats.
coverage: $(STAMP) ## The same with coverage of vr, which must be 85 % or more
	$(run_tests) $(ARGS) --cov=vr --cov-report=term:skip-covered --cov-fail-under=85

lint: $(STAMP) ## Look for mistakes
	$(BIN)/ruff check

format: $(STAMP) ## Lay the code out, and mend what can be mended
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

format-check: $(STAMP) ## Say whether the code is laid out
	$(BIN)/ruff format --check

types: $(STAMP) ## Check the types
	$(BIN)/pyright

demo: $(STAMP) ## A fresh real sample and an eighth self-trained generation of it: both verdicts, and the latter mended
	@echo "demo 1 of 4: a real dataset, a fresh sample of it, and a generator refitted to its own output eight times"
	@$(BIN)/python -m benchmarks.demo_cases --dataset randhie --output $(DEMO)
	@echo; echo "demo 2 of 4: the fresh real sample"
	@$(BIN)/vr validate $(DEMO)/fresh.parquet --reference $(DEMO)/reference.parquet --output $(DEMO)/report_fresh --force
	@echo; echo "demo 3 of 4: the eighth generation"
	@$(BIN)/vr validate $(DEMO)/generation_8.parquet --reference $(DEMO)/reference.parquet \
	  --output $(DEMO)/report_generation_8 --force
	@echo; echo "demo 4 of 4: the eighth generation, mended by the first three recommendations, with real rows that nobody trained on"
	@$(BIN)/vr fix $(DEMO)/generation_8.parquet --report $(DEMO)/report_generation_8/report.json \
	  --output $(DEMO)/mended.parquet --top 3 --real $(DEMO)/fresh.parquet --validate --force
	@echo; echo "The three reports, to be opened in a browser:"
	@echo "  fresh real sample   $(CURDIR)/$(DEMO)/report_fresh/report.html"
	@echo "  eighth generation   $(CURDIR)/$(DEMO)/report_generation_8/report.html"
	@echo "  mended              $(CURDIR)/$(DEMO)/mended.parquet.report/report.html"

study: $(STAMP) ## The whole labelled benchmark from nothing: hours, resumable
	$(BIN)/python -m benchmarks.collapse.study

calibrate: $(STAMP) ## Fit the verdict to the committed results and rebuild every figure of docs/accuracy.md: minutes
	$(THREADS) $(BIN)/python -m experiments.calibrate
	$(THREADS) $(BIN)/python -m benchmarks.collapse.comparisons
	$(BIN)/python -m benchmarks.collapse.accuracy_page

signatures: $(STAMP) ## Make the shipped signatures, fit the pre-screen, and rebuild every figure of docs/signatures.md: minutes
	$(THREADS) $(BIN)/python -m experiments.fit_signatures
	$(BIN)/python -m benchmarks.collapse.signatures_page

faults: $(STAMP) ## Run the slow tests, which print what they saw: kills, floods, full disks, several processes
	@sh scripts/postgres.sh
	$(THREADS) $(BIN)/python -m pytest -q -s -m slow $(ARGS)

soak: $(STAMP) ## Load a server and a worker for 20 minutes while processes are killed: does anything grow?
	$(THREADS) $(BIN)/python -m benchmarks.service_soak --minutes 20 $(ARGS)

fuzz: $(STAMP) ## Read 50,000 damaged files and the hostile ones: a quarter of an hour of one core
	$(THREADS) $(BIN)/python -m benchmarks.hostile_files

clean: ## Remove caches, builds and outputs; .venv stays
	rm -rf build dist htmlcov .coverage .pytest_cache .ruff_cache .hypothesis outputs multirun wandb
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
