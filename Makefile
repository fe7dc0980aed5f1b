# make run    set up, load the sample month, build, audit, publish, and show what it says
# make test   all tests
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3.11
WORKSPACE ?= $(or $(TOLLBOOK_WORKSPACE),workspace)
BIN := .venv/bin
export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export DBT_SEND_ANONYMOUS_USAGE_STATS := false
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED := False

.PHONY: run test lint format docs airflow clean

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

test: .venv/installed
	$(BIN)/python -m pytest tests

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
