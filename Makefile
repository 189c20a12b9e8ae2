# One virtual environment, made by uv from the lock files; `.venv/bin/divrec` is the command.
PYTHON ?= python3
UV := .uv/bin/uv
KAFKA_LIBS := deploy/kafka/libs

.PHONY: install install-dev install-bench demo test test-kafka kafka-libs lint lock clean

install: .venv/.installed

install-dev: .venv/.installed-dev

$(UV):
	$(PYTHON) -m pip install -q --disable-pip-version-check --target .uv uv==0.13.9

.venv/.installed: requirements.lock pyproject.toml | $(UV)
	$(UV) venv -q --allow-existing --python $$($(PYTHON) -c 'import sys; print(sys.executable)') .venv
	$(UV) pip install -q --python .venv/bin/python --require-hashes -r requirements.lock
	$(UV) pip install -q --python .venv/bin/python --no-deps -e .
	touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	$(UV) pip install -q --python .venv/bin/python --require-hashes -r requirements-dev.lock
	touch $@

.venv/.installed-bench: requirements-bench.lock .venv/.installed-dev
	$(UV) pip install -q --python .venv/bin/python --require-hashes -r requirements-bench.lock
	touch $@

install-bench: .venv/.installed-bench

demo: install
	.venv/bin/divrec demo

test: install-dev
	.venv/bin/python -m pytest -m "not kafka"

test-kafka: install-dev kafka-libs
	.venv/bin/python -m pytest -m kafka

kafka-libs: $(KAFKA_LIBS)/.fetched

$(KAFKA_LIBS)/.fetched: deploy/kafka/pom.xml
	mvn -q -B -f deploy/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=libs
	touch $@

lint: install-dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

lock: | $(UV)
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra bench -c requirements.lock pyproject.toml -o requirements-bench.lock

clean:
	rm -rf .venv .uv .divrec $(KAFKA_LIBS)
