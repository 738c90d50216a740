# make demo, make test: all that is needed is Python 3.11 or newer; the environment is built in .venv.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt
# PyTorch comes by pip, from where pip is configured to look; all else by uv, which takes a tenth of the time.
UV := $(BIN)/python -m uv pip install --quiet --python $(BIN)/python --link-mode copy --constraint constraints.txt

.PHONY: setup demo test test-fast test-slow test-gpu test-kit test-pythons mutants check format docs docs-epub docs-dist results bench bench-setup clean

# What the demo needs, and on top of it what the tests and checks need.
.venv/light: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing foldin and its pinned dependencies into .venv (once, a minute or two)"
	@$(PIP) pip uv
	@$(PIP) --no-compile torch
	@$(UV) --editable '.[all]'
	@touch .venv/light

.venv/ready: .venv/light
	@$(UV) --editable '.[all,tune,tensorboard,mlflow,ray]' --group dev
	@touch .venv/ready

setup: .venv/ready

demo: .venv/light
	@rm -rf runs/demo
	@$(BIN)/foldin demo --out runs/demo
	@echo "(the program is $(BIN)/foldin)"

# Two processes of one thread each: on two cores that is quicker than one of two threads. Files keep their order, the longest first.
# Shapes are checked where all kernels and layers come by, which doubles the time; of all models in test-slow.
CHECKED := tests/kernels tests/nn
SHAPES := --jaxtyping-packages=foldin,tests.check
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
test: setup
	@$(PYTEST) $(CHECKED) $(SHAPES)
	@$(PYTEST) tests README.md README.ko.md docs $(CHECKED:%=--ignore %)

# What a change of the library breaks first: without browsers, services, scripts, compilers, the book and many trainings.
test-fast: setup
	@$(PYTEST) -m "not slow"

# What takes minutes by itself: kills under load on both databases, compilers, every script on tiny made-up data.
test-slow: setup
	@$(PYTEST) tests/contract $(SHAPES)
	@FOLDIN_TESTS=all OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m long

# Every model and most kernels and rankers on a GPU, compared with the CPU; skipped where PyTorch finds none.
test-gpu: setup
	@$(BIN)/python -m pytest tests/gpu

# The kit of deploy/: its files by the programs that read them, its parts without containers and killed in turn, the steps of its image.
test-kit: setup
	@$(UV) --group kit
	@PATH="$(CURDIR)/$(BIN):$$PATH" FOLDIN_TESTS=all OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/deploy
	@$(BIN)/python -m tests.deploy.image

# The fast tests by every version of Python that is at hand, and the pins for all of them.
test-pythons: setup
	@$(BIN)/python tests/pythons.py

# Signs, factors and indices of the book's equations are changed, one at a time: the checks must notice.
mutants: setup
	@$(BIN)/python docs/book/mutants.py

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

format: setup
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

# The pages that are written by scripts, then the site in build/docs and the EPUB; a warning is an error.
docs: setup
	@$(BIN)/python docs/write_cli.py
	@$(BIN)/python docs/write_http.py
	@$(BIN)/python docs/write_readme.py
	@$(BIN)/python docs/write_sources.py
	@$(BIN)/python docs/book/write_notation.py
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs 2 docs build/docs
	@echo "the documentation is build/docs/index.html"
	@$(MAKE) --no-print-directory docs-epub

# The same pages for e-readers, in one file: formulas are MathML, and a sentence stands for each figure to move.
docs-epub: setup
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --jobs 2 -b epub -d build/epub.doctrees docs build/epub
	@cp build/epub/foldin.epub build/foldin.epub
	@echo "for e-readers it is build/foldin.epub"

# The documentation as a package of its own, foldin-docs, in dist.
docs-dist: docs
	@rm -rf docs/distribution/foldin_docs/site && cp -r build/docs docs/distribution/foldin_docs/site
	@rm -rf docs/distribution/foldin_docs/site/.doctrees
	@$(PIP) build
	@$(BIN)/python -m build --wheel --outdir dist docs/distribution

# When each kept figure was measured, and whether the code it depends on has changed since.
results: setup
	@$(BIN)/python benchmarks/kept.py --page docs/measured.md

# Peers live in environments of their own: none of their pins touches ours.
bench-setup: .bench/cornac/ready .bench/obp/ready .bench/pythae/ready .bench/rectools/ready .bench/schemathesis/ready .bench/sklearn/ready .bench/vector/ready

.bench/%/ready: benchmarks/%.txt
	@test -x .bench/$*/bin/python || $(PYTHON) -m venv .bench/$*
	@.bench/$*/bin/python -m pip install --quiet --quiet --disable-pip-version-check torch==2.13.0
	@.bench/$*/bin/python -m pip install --quiet --quiet --disable-pip-version-check -r benchmarks/$*.txt
	@touch $@

# obp's own pins end at Python 3.10, and it runs on later versions.
.bench/obp/ready: benchmarks/obp.txt
	@test -x .bench/obp/bin/python || $(PYTHON) -m venv .bench/obp
	@.bench/obp/bin/python -m pip install --quiet --quiet --disable-pip-version-check torch==2.13.0
	@.bench/obp/bin/python -m pip install --quiet --quiet --disable-pip-version-check -r benchmarks/obp.txt
	@.bench/obp/bin/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --ignore-requires-python obp==0.5.7
	@touch $@

bench: setup bench-setup
	@for script in read_log recommend_all multvae_epoch recvae_epoch multvae_quality_time sasrec_epoch gaussian_mixture variational_mixture mixture lda poisson quantize aevb diffrec_epoch ddim off_policy warm_start big_catalog big_linear workers serve_load search_titles big_lists scale_model loop serve_faults against_commit; do \
	  env -u OPENBLAS_CORETYPE $(BIN)/python benchmarks/$$script.py || exit 1; done

clean:
	@rm -rf .venv .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
