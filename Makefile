# `make help` lists the targets. Everything installs into .venv from the lock files; nothing needs root.

PYTHON ?= python3
DATA ?= synthetic
BIN := $(CURDIR)/.venv/bin
VENV := .venv/made
RUNTIME := .venv/runtime
DEVELOPMENT := .venv/development
SPARK := .venv/spark

# A company is a folder with churn.yaml, dagster.yaml and workspace.yaml; its data and its state stay in it.
FOLDER := $(if $(filter synthetic,$(DATA)),.,examples/$(DATA))
AS_OF_synthetic := --as-of 2026-01-01
AS_OF_cdnow := --as-of 1998-07-01

# For what imports a dependency before the platform's own packages, which say the same.
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export ORT_DISABLE_TELEMETRY := 1
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-spark demo dev score test integration coverage schemathesis story faults year test-spark proofs lint types definitions checks bench-simulate bench-init bench-features bench-models bench-gate bench-intervals bench-drift bench-quality bench-experiments bench-month bench-reasons bench-rollback bench-serving bench-attacks bench-limits bench-peers profile-serving rooms-picture env compose-test lock clean bench-degradation

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(RUNTIME) ## Create .venv with what the platform needs

setup-spark: $(SPARK) ## Add Spark to .venv, for `engine: spark`; needs Java 17 or 21 besides

demo: $(RUNTIME) ## Raw data to a served prediction, on one screen (DATA=synthetic, telco or cdnow)
	@test -f $(FOLDER)/churn.yaml || { echo "make: DATA=$(DATA) is not known; expected synthetic, telco or cdnow" >&2; exit 2; }
	@test ! -f $(FOLDER)/prepare.py || $(BIN)/python $(FOLDER)/prepare.py
	@cd $(FOLDER) && $(BIN)/churn demo $(AS_OF_$(DATA))

dev: $(RUNTIME) ## Dagster UI with daemon on 3000 and the service on 8000, until Ctrl-C
	@test ! -f $(FOLDER)/prepare.py || $(BIN)/python $(FOLDER)/prepare.py
	@cd $(FOLDER) && $(BIN)/churn dev

score: $(RUNTIME) ## Score a table by the release that serves: IN=customers.csv OUT=scores.csv
	@test -n "$(IN)" -a -n "$(OUT)" || { echo "make: expected IN=table.csv OUT=scores.csv (or .parquet)" >&2; exit 2; }
	@cd $(FOLDER) && $(BIN)/churn score $(abspath $(IN)) $(abspath $(OUT))

test: $(DEVELOPMENT) ## Set up and pass the tests
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST)

integration: $(DEVELOPMENT) ## Run the graphs of whole companies, and commands and services as processes of their own
	$(BIN)/python -m pytest -n 2 --dist loadfile -m integration $(PYTEST)

coverage: $(DEVELOPMENT) ## Which branches `make test` reaches, by file
	$(BIN)/python -m pytest -n 2 --dist loadfile -q --cov --cov-report=term:skip-covered $(PYTEST)

proofs: $(DEVELOPMENT) ## Prove that no feature and no label knows too much, over many drawn companies
	$(BIN)/python -m pytest -m proofs --hypothesis-profile=proofs --timeout=3000 $(PROOFS)

schemathesis: $(DEVELOPMENT) ## Hold the service to its OpenAPI document, all checks and sequences of calls; SCHEMATHESIS_EXAMPLES=100 for more
	$(BIN)/python -m pytest -m integration tests/api/test_contract.py $(PYTEST)

story: $(DEVELOPMENT) ## Live through the first months of a company, by schedules and sensors
	$(BIN)/python -m pytest -m story $(PYTEST)

faults: $(DEVELOPMENT) ## Kill, attack, tear and take away; a table of what held, with a verdict and the seconds to recover
	@command -v strace >/dev/null || { echo "make: the faults are watched by strace and there is none; install Debian's package strace" >&2; exit 2; }
	$(BIN)/python -m pytest -n 2 --dist loadfile -m faults $(PYTEST)

year: $(DEVELOPMENT) ## Simulate years of months, troubles and people; YEAR="--seeds 500" for more, YEAR="--seed 17" for one again
	$(BIN)/python -m pytest tests/year -n 2 --dist loadgroup -m year $(YEAR)

test-spark: $(DEVELOPMENT) $(SPARK) ## Prove that Spark computes the same features, bit by bit
	@java -version >/dev/null 2>&1 || { echo "make: Spark needs Java 17 or 21 and there is no java; install one, such as Debian's openjdk-17-jre-headless" >&2; exit 2; }
	$(BIN)/python -m pytest tests/spark -m spark $(PYTEST)

lint: $(DEVELOPMENT) ## Style of the code, and which room may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(DEVELOPMENT) ## Types of the code; what runs in the environments of peers apart
	$(BIN)/mypy
	$(BIN)/mypy benchmarks --exclude benchmarks/peer_services

definitions: $(DEVELOPMENT) ## Load the definitions as Dagster does
	DAGSTER_HOME=$$(mktemp -d) $(BIN)/dagster definitions validate -w workspace.yaml

checks: $(DEVELOPMENT) ## Materialize a small company; name every asset check that fails
	$(BIN)/churn checks

bench-simulate: $(DEVELOPMENT) ## Events a second of the synthetic company, and its memory
	$(BIN)/python benchmarks/simulate.py $(BENCH)

bench-init: $(DEVELOPMENT) ## Seconds from a company's files to a prediction, without a line written by hand
	$(BIN)/python benchmarks/init.py $(BENCH)

bench-features: $(DEVELOPMENT) ## CPU and memory of twelve snapshots, beside one scan and a loop in pandas
	$(BIN)/python benchmarks/features.py $(BENCH)

bench-serving: $(DEVELOPMENT) ## Requests per second beside a no-op echo; start and memory of the service
	$(BIN)/python benchmarks/serving.py $(BENCH)

bench-peers: $(DEVELOPMENT) ## The service beside FastAPI, MLflow, BentoML, MLServer and Feast, with the same model and row
	$(BIN)/python benchmarks/serving_peers.py $(BENCH)

profile-serving: $(DEVELOPMENT) ## Where the time of a prediction goes, by stage
	$(BIN)/python benchmarks/profile_serving.py $(BENCH)

bench-attacks: $(DEVELOPMENT) ## Memory and health under three attacks without a key, beside a bare Litestar application
	$(BIN)/python benchmarks/attacks.py $(BENCH)

bench-limits: $(DEVELOPMENT) ## What a rate limit costs a request, in memory and through Redis
	$(BIN)/python benchmarks/rate_limits.py

bench-models: $(DEVELOPMENT) ## Quality of the models beside plain scikit-learn on Telco, CDNOW and the synthetic company
	$(BIN)/python benchmarks/models.py $(BENCH)

bench-drift: $(DEVELOPMENT) ## False alarms, power and delay of the drift rule beside others' rules, by rows and kind of change; BENCH=--quick in a minute
	$(BIN)/python benchmarks/drift.py $(BENCH)

bench-experiments: $(DEVELOPMENT) ## How often an experiment that is looked at every day is wrong, and how often right
	$(BIN)/python benchmarks/experiments.py $(BENCH)

bench-degradation: $(DEVELOPMENT) ## How often degradation is found where nothing has changed, and where something has
	$(BIN)/python benchmarks/degradation.py $(BENCH)

bench-month: $(DEVELOPMENT) ## Seconds from the first of a month to an answer from its snapshot, stage by stage
	$(BIN)/python benchmarks/month.py $(BENCH)

bench-reasons: $(DEVELOPMENT) ## Milliseconds of a prediction's reasons, and how often the first is that of the exact answer
	$(BIN)/python benchmarks/reasons.py $(BENCH)

bench-rollback: $(DEVELOPMENT) ## Requests while a release is taken back: how long the old answers last, how many fail
	$(BIN)/python benchmarks/rollback.py $(BENCH)

bench-gate: $(DEVELOPMENT) ## How often the gate promotes an equal model, and a better one, by size and difference
	$(BIN)/python benchmarks/gate.py $(BENCH)

bench-intervals: $(DEVELOPMENT) ## How often the printed intervals hold the truth, beside methods that must fail
	$(BIN)/python benchmarks/intervals.py $(BENCH)

bench-quality: $(DEVELOPMENT) ## How often a broken feed is told from a changed one, by kind and size, and how often a clean one blocks
	$(BIN)/python benchmarks/quality.py $(BENCH)

rooms-picture: $(DEVELOPMENT) ## Draw the rooms and their imports anew: docs/images/rooms.svg
	$(BIN)/python docs/rooms.py

env: ## Write .env with random secrets for docker compose
	@deploy/write-env

compose-test: ## Bring the production stack up, materialize, predict, take it down
	deploy/compose-test

lock: $(DEVELOPMENT) ## Write the lock files anew from pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --extra examples --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile $(LOCK) --extra examples --extra build --extra boosting --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(BIN)/uv pip compile $(LOCK) --extra spark -c requirements-dev.lock pyproject.toml | awk '/^[a-z]/ {keep = /^(py4j|pyspark)==/} keep' > requirements-spark.lock
	awk '/^[a-z]/ {keep = /^uv==/} keep && !/via/' requirements-dev.lock > requirements-uv.lock

clean: ## Remove the environment and all state of the companies
	rm -rf .venv .churn .dagster examples/*/.churn examples/*/.dagster examples/*/data

LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade

$(VENV): requirements-uv.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "make: Python %d.%d found; Python 3.11 to 3.13 is needed: make PYTHON=python3.11 ..." % v)'
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

$(RUNTIME): $(VENV) requirements.lock pyproject.toml
	@echo "installing requirements.lock into .venv"
	@$(call install,requirements.lock)
	@touch $@

$(DEVELOPMENT): $(RUNTIME) requirements-dev.lock
	@echo "installing requirements-dev.lock into .venv"
	@$(call install,requirements-dev.lock,--compile-bytecode)
	@touch $@

# On top of the other locks, whose versions it was made with.
$(SPARK): $(RUNTIME) requirements-spark.lock
	@echo "installing requirements-spark.lock into .venv"
	@$(call install,requirements-spark.lock)
	@touch $@

# uv is several times faster than pip; where it can't reach the index that pip is configured for, pip does it. Tests start hundreds of
# processes: compiled once, each is spared 5 CPU seconds where Python is told to write no bytecode, as in a container.
define install
{ VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet $(2) --require-hashes -r $(1) || \
  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(1); } && \
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endef
