# Two commands do everything on a fresh machine with Python 3.11+ and a package index: make demo, make test.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo demo-ppo test check coverage slow nightly kernels bench notebooks pictures docs dist bundle lock clean setup

setup: $(READY)

# Every package with a hash that is checked. torch comes first and from whatever index has it, so that a CPU build stays one (as
# does a build that is there already); what it needs on an NVIDIA GPU only if it asks for it. Ours then finds all of it in place.
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -q
HAS_TORCH := import importlib.metadata as m; assert "torch==" + m.version("torch").partition("+")[0] in open("requirements.lock").read().split()
FOR_CUDA := import importlib.metadata as m, sys; sys.exit(not any(r.startswith("nvidia-") for r in m.requires("torch") or ()))

$(READY): pyproject.toml requirements.lock requirements.sha256 requirements-torch.sha256 requirements-cuda.sha256
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	if ! $(BIN)/python -c '$(HAS_TORCH)' 2>/dev/null; then \
	  $(BIN)/python -m pip download --disable-pip-version-check -q --no-deps -c requirements.lock -d .venv/torch torch && \
	  $(INSTALL) --no-deps --require-hashes --no-index --find-links .venv/torch -r requirements-torch.sha256 && rm -r .venv/torch; fi
	$(INSTALL) --no-deps --require-hashes -r requirements.sha256
	if $(BIN)/python -c '$(FOR_CUDA)'; then $(INSTALL) --no-deps --require-hashes -r requirements-cuda.sha256; fi
	$(INSTALL) -c requirements.lock -e '.[quant,dev]'
	touch $(READY)

# What one command alone needs: the extra of that name.
.venv/.ready-%: $(READY)
	$(INSTALL) -c requirements.lock -e '.[$*]'
	touch $@

# SmolLM2-135M through PT, SFT and DPO on the sample data, then a before/after table: about 15 minutes on two cores.
demo: $(READY)
	$(BIN)/medicalgpt pipeline run configs/pipelines/dpo.yaml

# The same with a reward model and PPO instead of DPO: about 20 minutes.
demo-ppo: $(READY)
	$(BIN)/medicalgpt pipeline run configs/pipelines/ppo.yaml

# One process a core, each a file at a time; the tests themselves compute on one thread.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile

test: $(READY)
	$(BIN)/python -m pytest -m 'not slow and not realdata' $(PARALLEL)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file benchmarks/mypy.ini
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/unit/cli/test_startup.py tests/unit/test_house.py

# How many lines the unit tests run. Measured they are 1.6 to 1.9 times as slow on Python 3.11 (C tracer), and in one process.
coverage: $(READY)
	$(BIN)/coverage run -m pytest tests/unit -m 'not slow and not realdata'
	@echo "unit tests cover $$($(BIN)/coverage report --format=total) % of the lines of src/medicalgpt"

# What runs the embedded model, a browser or attackers takes all cores and comes alone.
ALONE := $(wildcard tests/e2e/test_*smollm.py) $(patsubst %,tests/e2e/test_%.py,merge notebooks pull serve_hostile web_page)

# End-to-end runs, also on real medical text where it lies beside the project.
slow: $(READY)
	$(BIN)/python -m pytest -m '(slow or realdata) and not nightly' --timeout=1800 -rs $(PARALLEL) $(addprefix --ignore=,$(ALONE))
	$(BIN)/python -m pytest -m '(slow or realdata) and not nightly' --timeout=1800 -rs $(ALONE)

# Longer twins of slow tests.
nightly: $(READY)
	$(BIN)/python -m pytest -m nightly --timeout=1800

# The parity and invariant tests with the kernels that older and newer machines would choose: about 7 minutes; KERNELS="sse avx2"
# for some of them.
kernels: $(READY)
	$(BIN)/python -m tests.kernels $(KERNELS)

bench: $(READY)
	$(BIN)/python benchmarks/run.py

# The pictures of README and docs, from the run of `make demo` (terminal and page need a few minutes, both pages Chromium).
pictures: $(READY)
	$(BIN)/python benchmarks/pictures.py runs/pipeline-dpo

# The notebooks on their true settings, their outputs stored in them: about an hour on two cores. Some of them: BOOKS=hospital
notebooks: $(READY)
	$(BIN)/python -m tests.notebooks $(BOOKS)

# The documentation site, in site/: every warning is an error (with --quiet none would be seen).
docs: .venv/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Wheel and source distribution, in dist/, and a check of their metadata.
dist: .venv/.ready-release
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

# For machines without network: wheels, the embedded model and install.sh in one folder. More: MODELS=smollm2-135m,gemma3-270m
BUNDLE ?= dist/medicalgpt-offline
bundle: $(READY)
	$(BIN)/python offline/bundle.py $(BUNDLE) $(if $(MODELS),--models $(MODELS)) $(if $(EXTRAS),--extras $(EXTRAS))

COMPILE = .venv-lock/bin/uv pip compile pyproject.toml --extra quant --extra dev --extra docs --extra release --universal \
  --python-version 3.11 --no-header --no-annotate -q

lock:
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install -q uv
	$(COMPILE) --no-emit-package triton -o requirements.lock
	sed -i '1i # Exact versions of everything; used as constraints (pip install -c). Renew with: make lock' requirements.lock
	$(COMPILE) --generate-hashes -c requirements.lock | $(PYTHON) .ci/hash_lock.py
	rm -rf .venv-lock

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage dist build site
