# make run    set up, load the sample month, build, audit, publish, and show what it says
# make test   all tests
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
WORKSPACE ?= $(or $(TOLLBOOK_WORKSPACE),workspace)
BIN := .venv/bin
PYTHON312 ?= $(shell for python in python3.12 python3.13 "$$HOME"/.pyenv/versions/3.1[23]*/bin/python; do \
	"$$python" -c '' 2>/dev/null && echo "$$python" && break; done)
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED := False

.PHONY: run test metricflow focus-validator focus-validator-if-possible lint format docs airflow clean

.venv/installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed ($(PYTHON) is not there); give another with PYTHON=..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

run: .venv/installed
	test -f $(WORKSPACE)/tollbook.yml || $(BIN)/tollbook init $(WORKSPACE) --sample
	$(BIN)/python scripts/run_nightly.py $(WORKSPACE)
	$(BIN)/tollbook summary --workspace $(WORKSPACE)

test: .venv/installed .nise/installed .metricflow/installed focus-validator-if-possible
	$(BIN)/python -m pytest tests

# what only tests need, in environments of their own: the maker of vendors' bills, and the validator of FOCUS files
.nise/installed: environments/koku-nise.txt .venv/installed
	test -x .nise/bin/python || $(PYTHON) -m venv .nise
	$(BIN)/uv pip install --quiet --python .nise/bin/python -r $<
	touch $@

# metrics by any dimension: scripts/query_metrics.py
metricflow: .metricflow/installed

.metricflow/installed: environments/metricflow.txt .venv/installed
	test -x .metricflow/bin/python || $(PYTHON) -m venv .metricflow
	$(BIN)/uv pip install --quiet --python .metricflow/bin/python -r $<
	touch $@

focus-validator: .focus-validator/installed

.focus-validator/installed: environments/focus-validator.txt .venv/installed
	@test -n "$(PYTHON312)" || { echo "focus-validator needs Python 3.12 or 3.13; give one with PYTHON312=..."; exit 1; }
	test -x .focus-validator/bin/python || $(PYTHON312) -m venv .focus-validator
	$(BIN)/uv pip install --quiet --python .focus-validator/bin/python -r $<
	touch $@

# its tests say so and are skipped where there is no Python for it
focus-validator-if-possible: .venv/installed
	@if [ -n "$(PYTHON312)" ]; then $(MAKE) --no-print-directory focus-validator; fi

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint --processes 1 dbt_project/models dbt_project/tests

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# the data dictionary, from the models' own descriptions
docs: .venv/installed
	$(BIN)/python scripts/write_dictionary.py docs/data-dictionary.md

airflow: .venv/installed
	test -f $(WORKSPACE)/tollbook.yml || $(BIN)/tollbook init $(WORKSPACE) --sample
	$(BIN)/python scripts/run_airflow.py $(WORKSPACE)

clean:
	rm -rf .venv build *.egg-info dbt_project/target dbt_project/logs
