# Everything runs in .venv, which is made again only when the packages change.
BIN := .venv/bin
STAMP := .venv/.installed
UV := VIRTUAL_ENV="$(CURDIR)/.venv" $(BIN)/uv
PYTHON ?= $(shell command -v python3.11 || command -v python3)
FAMILY ?= contugas
SERVICE ?= stack:Stack
# Those that train, in processes beside the service.
TRAINS := $(filter stack:% itransformer:%,$(SERVICE))

# torch comes without CUDA: elsewhere than on Linux, PyPI has only that build.
ifeq ($(shell uname -s),Linux)
export PIP_FIND_LINKS ?= https://download.pytorch.org/whl/cpu/torch/
endif
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

.DEFAULT_GOAL := help
.PHONY: help up train test bench bento lint lock

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):[^#]*##/  make \1 \t/p' $(MAKEFILE_LIST)

up: $(STAMP)  ## Run S3, MLflow and the services on this machine until Ctrl-C
	@exec $(BIN)/python -m deploy.local

train: $(STAMP)  ## Train on the running stack: make train FAMILY=contugas ARGS="--data PATH --promote"
	@set -a; . "$${ASCENSO_HOME:-.ascenso}/secrets.env"; \
	export AWS_ENDPOINT_URL="http://127.0.0.1:$${ASCENSO_S3_PORT:-9000}" AWS_DEFAULT_REGION=us-east-1; \
	exec $(BIN)/python -m training.$(FAMILY) $(ARGS)

test: $(STAMP)  ## Run all tests, with coverage (they drive a real Chromium)
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	  { echo "The tests need Chromium: apt-get install chromium, or brew install --cask chromium" >&2; exit 1; }
	$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder --cov --cov-report=term $(ARGS)

bench: $(STAMP)  ## Measure the services beside others, ten minutes on a quiet machine; needs wrk
	$(BIN)/python -m benchmarks.compare $(ARGS)

# Beside a bentofile.yaml, BentoML 1.4 builds what stands there, whatever service is its argument.
bento: $(STAMP)  ## Build a bento of the stack, or of one service: make bento SERVICE=contugas:Contugas
	@file=$$(mktemp); trap 'rm -f "$$file"' EXIT; \
	sed -e 's/^service: .*/service: "bentos.$(SERVICE)"/' \
	  $(if $(TRAINS),,-e s/requirements.stack.lock/requirements.serving.lock/) \
	  bentofile.yaml > "$$file"; \
	$(BIN)/bentoml build -f "$$file"

lint: $(STAMP)  ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lock: $(STAMP)  ## Write the locks from pyproject.toml: make lock ARGS=--upgrade
	$(UV) pip compile pyproject.toml --all-extras --python-version 3.11 --generate-hashes \
	  --no-emit-package torch --no-emit-find-links --no-header -q $(ARGS) -o requirements.lock
	rm -f requirements.serving.lock requirements.stack.lock  # their own torch, without +cpu, would be preferred, with CUDA
	for set in serving stack; do \
	  $(UV) pip compile pyproject.toml --constraint requirements.lock --python-version 3.11 \
	    --extra grpc --extra ledger --extra tracing $$([ $$set = stack ] && echo --extra train) --generate-hashes --no-emit-package torch \
	    --no-emit-find-links --no-header --no-annotate -q -o requirements.$$set.lock && \
	  sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml >> requirements.$$set.lock || exit; done

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed, and $(PYTHON) is not it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q uv==0.13.8
	$(UV) pip install --compile-bytecode torch==2.13.0 --no-deps
	$(UV) pip install --compile-bytecode --require-hashes -r requirements.lock
	$(UV) pip install -q --no-deps --no-build-isolation -e .
	@touch $@
