# make run               the five lessons, from the shipped images to GIF and scores
# make lab               open the lessons in JupyterLab
# make test              every test but the ones below
# make test-further      the further lessons, and what they need beside it (PyTorch)
# make test-all          the slow ones, too: lessons 2 to 5 on every kind of source
# make test-browser      the lessons in JupyterLab, the explorer and the site, in Chromium
# make test-colab        the tests of `make test`, with Colab's versions
# make bench             speed of a step beside its peers; memory, shuffling and speed of the input
#                        pipeline; cost of what is done beside the steps
# make notebooks         execute the notebooks in place in profile full, to commit them; RUNS=folder
#                        keeps what they train; LESSONS=pytorch takes one further lesson alone
# make assets            regenerate what assets/ holds (needs TFDS_DATA_DIR or a network; the emoji
#                        only with EMOJI_ZIP=path)
# make explorer          a web page that draws with the shipped generators; OWN=file.keras adds yours
# make site              the course as web pages, in site/build/html
# make vendor            the JavaScript libraries of the web pages, from npm, to commit them
# make repository SLUG=owner/name    after forking: write the new address everywhere
# make clean-runs        forget all trainings
PYTHON ?= python3
DATASET ?= fashion_mnist
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check
PYTEST = -m pytest -n 2 --dist loadscope --no-loadscope-reorder
ifdef PROFILE
export DCGAN_PROFILE := $(PROFILE)
endif

.PHONY: run lab test test-further test-all test-browser test-colab bench notebooks assets explorer \
	site vendor repository clean-runs

run: .venv/installed
	.venv/bin/python -m helpers.course run --dataset "$(DATASET)"

lab: .venv/installed
	.venv/bin/python $(PIP_INSTALL) jupyterlab
	.venv/bin/jupyter lab --LabApp.default_url=/lab/tree/notebooks/01_introduction.ipynb

test: .venv/installed-test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/python $(PYTEST)

test-further: .venv/installed-further
	.venv/bin/python $(PYTEST) tests/further notebooks/further

test-all: .venv/installed-test
	.venv/bin/python $(PYTEST) -m ""

bench: .venv/installed
	.venv/bin/python -m tests.benchmarks.step
	.venv/bin/python -m tests.benchmarks.data
	.venv/bin/python -m tests.benchmarks.callbacks

test-browser: .venv/installed-browser site
	.venv/bin/python -m pytest tests/browser

test-colab: .venv-colab/installed
	.venv-colab/bin/python $(PYTEST)

notebooks: export DCGAN_PROFILE := $(or $(PROFILE),full)
notebooks: .venv-floor/installed
	.venv-floor/bin/python -m helpers.course notebooks $(LESSONS) $(if $(RUNS),--runs "$(RUNS)")
	.venv-floor/bin/python -m assets.make.lesson_pictures

assets: .venv-floor/installed
	.venv-floor/bin/python -m assets.make.datasets
	.venv-floor/bin/python -m assets.make.classifiers
ifdef EMOJI_ZIP
	.venv-floor/bin/python -m assets.make.emoji "$(EMOJI_ZIP)"
endif
	.venv-floor/bin/python -m assets.make.trained_run
	.venv-floor/bin/python -m assets.make.trials
	.venv-floor/bin/python -m assets.make.diagrams

explorer: .venv/installed
	.venv/bin/python site/explorer/convert.py $(OWN)

site: .venv-site/installed explorer
	rm -rf site/build/html
	.venv-site/bin/sphinx-build -c site -d site/build/doctrees -E -W --keep-going -q . site/build/html
	@echo "Open site/build/html/index.html in a browser."

vendor:
	cd site && npm ci --ignore-scripts && node node_modules/esbuild/install.js && npm run build

repository:
	$(PYTHON) helpers/machine.py
	$(PYTHON) assets/make/repository.py "$(SLUG)"

clean-runs:
	rm -rf runs

.venv/installed: requirements.txt
	$(PYTHON) helpers/machine.py
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP_INSTALL) -r requirements.txt
	touch $@

.venv/installed-test: .venv/installed requirements-test.txt
	.venv/bin/python $(PIP_INSTALL) -r requirements-test.txt
	touch $@

.venv/installed-further: .venv/installed-test requirements-pytorch.txt
	.venv/bin/python $(PIP_INSTALL) -r requirements-pytorch.txt
	touch $@

.venv/installed-browser: .venv/installed-test requirements-browser.txt
	.venv/bin/python $(PIP_INSTALL) -r requirements-browser.txt
	touch $@

.venv-site/installed: requirements-site.txt
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python $(PIP_INSTALL) -r requirements-site.txt
	touch $@

.venv-floor/installed: requirements.txt requirements-floor.txt requirements-pytorch.txt
	$(PYTHON) helpers/machine.py
	$(PYTHON) -m venv .venv-floor
	.venv-floor/bin/python $(PIP_INSTALL) -r requirements.txt -r requirements-floor.txt \
		-r requirements-pytorch.txt
	touch $@

# tensorflow-datasets as Colab has it: there, but with a protobuf that it cannot be imported with.
.venv-colab/installed: requirements-colab.txt
	$(PYTHON) helpers/machine.py
	$(PYTHON) -m venv .venv-colab
	.venv-colab/bin/python $(PIP_INSTALL) -r requirements-colab.txt
	.venv-colab/bin/python $(PIP_INSTALL) tensorflow-datasets==4.9.10 -c requirements-colab.txt
	.venv-colab/bin/python $(PIP_INSTALL) --no-deps tensorflow-metadata==1.21.0
	touch $@
