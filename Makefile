# make run               the five lessons, from the shipped images to GIF and scores
# make test              every test
# make notebooks         execute the notebooks in place, to commit them
# make assets            regenerate what assets/ holds (needs TFDS_DATA_DIR or a network)
# make clean-runs        forget all trainings
PYTHON ?= python3
DATASET ?= fashion_mnist
ifdef PROFILE
export DCGAN_PROFILE := $(PROFILE)
endif

.PHONY: run test notebooks assets clean-runs

run: .venv/installed
	.venv/bin/python -m helpers.course run --dataset "$(DATASET)"

test: .venv/installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python -m pytest

notebooks: .venv/installed
	.venv/bin/python -m helpers.course notebooks

assets: .venv-floor/installed
	.venv-floor/bin/python -m assets.make.datasets
	.venv-floor/bin/python -m assets.make.classifiers
	.venv-floor/bin/python -m assets.make.trained_run

clean-runs:
	rm -rf runs

.venv/installed: requirements.txt
	$(PYTHON) helpers/python_version.py
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-test: .venv/installed requirements-test.txt
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

.venv-floor/installed: requirements.txt requirements-floor.txt
	$(PYTHON) helpers/python_version.py
	$(PYTHON) -m venv .venv-floor
	.venv-floor/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-floor.txt
	touch $@
