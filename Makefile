# Everything that a person or CI does with a checkout. `make` alone lists the targets.
#
# `make demo`, `make test` and the others set themselves up: a virtual environment in .venv, then the package in
# editable mode. Two stamps keep that quick afterwards; they lie inside .venv, so they vanish together with it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?= python3
# The torch that is tested. pyproject.toml only sets a floor; this comes first, so that pip never picks another.
TORCH ?= torch==2.13.0
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

# A compiler that the user names wins; else the first that is there. CMake reads the same variable.
ifeq ($(origin CXX),default)
CXX := $(firstword $(foreach name,g++ clang++ c++,$(shell command -v $(name))) g++)
endif
export CXX

VENV := .venv
BIN := $(VENV)/bin
# -qq: errors only. What pip says about its indexes drowns the two lines that matter.
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
TOOLS_STAMP := $(VENV)/.stamp-tools
BUILD_STAMP := $(VENV)/.stamp-build
BENCH_STAMP := $(VENV)/.stamp-bench

# Bindings lie directly in csrc/; everything in a room below it is free of Python.
NATIVE_DEPENDENCIES := $(shell find graphkit/csrc -name '*.cpp' -o -name '*.hpp')
CXX_FILES = $(shell find graphkit/csrc cuda tests -name '*.cpp' -o -name '*.hpp' -o -name '*.cu' -o -name '*.cuh')
PLAIN_SOURCES := $(shell find graphkit/csrc -mindepth 2 -name '*.cpp')
NATIVE_TESTS := $(wildcard tests/native/test_*.cpp)

DEMO_RUN := runs/demo
DEMO_QUERIES_RUN := runs/demo-queries

.PHONY: help demo test test-all sanitize run-sanitized cuda-check lint types build bench-env wheel-test format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: build ## Train on the built-in graph, answer two one-hop and three multi-hop questions
	@echo "== Training ComplEx on single hops into $(DEMO_RUN)"
	$(BIN)/graphkit train experiment=demo run_dir=$(DEMO_RUN) overwrite=true
	@echo "== Asking it"
	$(BIN)/graphkit answer $(DEMO_RUN) "?x : official_language(?x, German)" --top 5
	$(BIN)/graphkit answer $(DEMO_RUN) "?x : member_of(Finland, ?x)" --top 5
	@echo "== Training GQE on multi-hop queries into $(DEMO_QUERIES_RUN)"
	$(BIN)/graphkit train experiment=demo_queries run_dir=$(DEMO_QUERIES_RUN) overwrite=true
	@echo "== Asking it: German-speaking neighbours of France; language families of Finland; neighbours outside NATO"
	$(BIN)/graphkit answer $(DEMO_QUERIES_RUN) "?x : borders(?x, France), official_language(?x, German)" --top 5
	$(BIN)/graphkit answer $(DEMO_QUERIES_RUN) "?x : language_family(?y, ?x), official_language(Finland, ?y)" --top 5
	$(BIN)/graphkit answer $(DEMO_QUERIES_RUN) \
	  "?x : borders(?x, ?y), official_language(?y, German), not member_of(?x, NATO)"

test: build ## Run the tests (all but the installation test)
	@echo "== Tests"
	$(BIN)/python -m pytest tests --ignore=tests/install $(TESTED_APART)

test-all: TESTED_APART = --ignore=tests/cuda
test-all: test lint types sanitize cuda-check wheel-test ## Run all that CI runs

# ------------------------------------------------------------------------------------------------------- set-up

build: $(BUILD_STAMP) ## Set up .venv and build the package into it (editable)

$(TOOLS_STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "graphkit needs Python 3.11 or newer, but '$(PYTHON)' is not that" \
	       "($$($(PYTHON) --version 2>&1 | head -n 1 || true))." \
	       "Install one and name it: make PYTHON=python3.12" >&2; exit 2; }
	@printf '#include <span>\n#include <thread>\nstd::jthread thread;\n' \
	  | $(CXX) -std=c++20 -x c++ -fsyntax-only - >/dev/null 2>&1 || { \
	  echo "graphkit needs a C++20 compiler (g++ 11 or newer will do), but '$(CXX)' is not one." \
	       "Install one and name it: make CXX=g++-12" >&2; exit 2; }
	@echo "== Setting up $(VENV): torch and the build tools (some minutes the first time)"
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON) -m venv' failed: on Debian and Ubuntu install python3-venv, then run make again." >&2; exit 2; }
	@$(PIP) install "$(TORCH)"
	@$(PIP) install "scikit-build-core>=1.1" "nanobind>=3.1,<4" "cmake>=3.26" "ninja>=1.11"
	@touch $@

$(BUILD_STAMP): $(TOOLS_STAMP) pyproject.toml CMakeLists.txt $(NATIVE_DEPENDENCIES)
	@echo "== Building graphkit and installing it into $(VENV)"
	@$(PIP) install --no-build-isolation -e ".[dev]"
	@touch $@

bench-env: $(BENCH_STAMP) ## Add the peers that benchmarks run beside (PyKEEN, DGL); torch stays as it is

# All that is installed is a constraint, so that no peer replaces it: pip ends with an error rather. DGL 1.1.3 asks for
# nothing that graphkit or PyKEEN lack, and runs with versions of torch that came after it, which it knows nothing of.
$(BENCH_STAMP): $(BUILD_STAMP)
	@echo "== Adding the peers of the benchmarks to $(VENV)"
	@$(PIP) list --format=freeze > $(VENV)/installed.txt
	@$(PIP) install --constraint $(VENV)/installed.txt "pykeen==1.11.1"
	@$(PIP) install --no-deps "dgl==1.1.3"
	@DGLBACKEND=pytorch $(BIN)/python -W ignore -c 'import dgl, pykeen, torch; print("torch is still", torch.__version__)'
	@touch $@

# ------------------------------------------------------------------------------------------------------- checks

lint: build ## Check style: ruff, clang-format
	@echo "== Lint"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

types: build ## Check types: mypy in strict mode
	@echo "== Types"
	$(BIN)/mypy

format: build ## Rewrite Python and C++ in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

wheel-test: build ## Build the wheel, install it into an empty environment and use it there
	@echo "== Wheel"
	$(BIN)/python -m pytest tests/install

# The C++ tests need neither Python nor .venv. Each is linked with all Python-free sources of the extension.
SANITIZE := build/sanitize
SANITIZERS := address,undefined
SANITIZE_FLAGS = -std=c++20 -g -O1 -Wall -Wextra -Werror -pthread -fno-omit-frame-pointer \
                 -fsanitize=$(SANITIZERS) -fno-sanitize-recover=all
SANITIZE_OBJECTS := $(PLAIN_SOURCES:%.cpp=$(SANITIZE)/%.o)
SANITIZE_BINARIES := $(NATIVE_TESTS:%.cpp=$(SANITIZE)/%)

sanitize: ## Run the C++ tests under the address, undefined-behaviour and thread sanitizers
	@echo "== Sanitizers"
	@test -n "$(NATIVE_TESTS)" || { echo "There is no tests/native/test_*.cpp to run." >&2; exit 2; }
	@$(MAKE) --no-print-directory -j$(JOBS) run-sanitized
	@$(MAKE) --no-print-directory -j$(JOBS) run-sanitized SANITIZE=build/sanitize-threads SANITIZERS=thread

run-sanitized: $(SANITIZE_BINARIES)
	@for binary in $^; do echo "$$binary"; $$binary; done

# As CMakeLists.txt has it: the kernels of the engine, compiled once for each instruction set.
ifeq ($(shell uname -m),x86_64)
$(SANITIZE)/graphkit/csrc/engine/paths/avx2.o: SANITIZE_FLAGS += -march=x86-64-v3
$(SANITIZE)/graphkit/csrc/engine/paths/avx512.o: SANITIZE_FLAGS += -march=x86-64-v4
endif

$(SANITIZE)/%.o: %.cpp Makefile
	@mkdir -p $(@D)
	@echo "compiling $<"
	@$(CXX) $(SANITIZE_FLAGS) -MMD -MP -Igraphkit/csrc -Itests/native -c $< -o $@

$(SANITIZE_BINARIES): %: %.o $(SANITIZE_OBJECTS)
	@$(CXX) $(SANITIZE_FLAGS) $^ -o $@

-include $(SANITIZE_OBJECTS:.o=.d) $(SANITIZE_BINARIES:=.d)
.SECONDARY:

# Kernels are compiled by nvcc where it is, and by NVRTC, which compiles them at run time; neither needs a GPU. Where its
# wheel cannot be installed, nvcc will do. Then tests run them on the CPU, and what they launched is launched again under
# sanitizers.
CUDA_CASES := build/cuda-cases

cuda-check: build ## Compile the CUDA kernels for GPUs of the day, and run their tests on the CPU
	@echo "== CUDA kernels"
	@$(PIP) install "nvidia-cuda-nvrtc>=13,<14" || PATH="$$PATH:/usr/local/cuda/bin" command -v nvcc >/dev/null
	$(BIN)/python tests/cuda/compile_check.py
	@rm -rf $(CUDA_CASES)
	GRAPHKIT_SHIM_CASES=$(CURDIR)/$(CUDA_CASES) $(BIN)/python -m pytest tests/cuda
	PYTHONPATH=tests/cuda $(BIN)/python -m shim.sanitized $(CUDA_CASES)

# ------------------------------------------------------------------------------------------------------- tidying

clean: ## Remove build products and caches (.venv and runs/ stay)
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +
