# One plain line each; continuous integration runs the same.
PYTHON ?= python3
PY := .venv/bin/python
ONLY ?=
K ?=

.PHONY: setup peers doctor check test test-long bench docs demo lock clean

setup: .venv/ready ## everything that Isthmus needs, in .venv

.venv/ready: pyproject.toml locks/dev.txt
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python lacks venv. On Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Isthmus needs Python 3.11 or newer: make PYTHON=python3.11 setup"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement locks/dev.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

peers: setup ## the independent servers and the browser that the tests speak to
	$(PY) tools/peers.py install

doctor: setup ## what is missing, and what is skipped for it
	$(PY) tools/peers.py doctor

check: setup ## style, types, import contracts, generated pages
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	$(PY) tools/docs.py --check

test: setup ## every test but the long ones; K=words picks some
	$(PY) -m pytest -m "not long" $(if $(K),-k "$(K)")

test-long: setup ## kills, fuzzing and clusters, and every law with new examples
	$(PY) -m pytest -m long --timeout 1800 --hypothesis-profile search $(if $(K),-k "$(K)")
	$(PY) -m pytest -m "hypothesis and not long" --timeout 1800 --hypothesis-profile search $(if $(K),-k "$(K)")

bench: setup ## every benchmark, or ONLY=name
	$(PY) tools/bench.py $(ONLY)

docs: setup ## write the generated pages anew
	$(PY) tools/docs.py

demo: setup ## a living plant in the browser
	$(PY) -m isthmus demo

lock: ## pin what setup installs
	$(PY) -m piptools compile --quiet --extra audit --extra opcua --extra site --extra sim --extra nats --extra postgresql --extra dev --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-header --output-file locks/dev.txt pyproject.toml

clean: ## forget what was built here
	rm -rf .venv .peers var
