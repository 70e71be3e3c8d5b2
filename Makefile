# Two commands do everything on a fresh machine: `make run` and `make test`. `make help` lists the others.
#
# tools/install is the only thing here that installs, and does nothing where everything is there.
# The presets of CMakePresets.json say how each tree is built; all trees are under build/.

SEED ?= 1
SECONDS ?= 60
JOBS ?= $(shell nproc)
# ctest prints what a failed test wrote; the summary is its last word.
CTEST := ctest --output-on-failure --no-tests=error -j $(JOBS)
CCACHE := $(shell command -v ccache 2>/dev/null)
CONFIGURE := cmake -DCMAKE_CXX_COMPILER_LAUNCHER=$(CCACHE) -DCMAKE_C_COMPILER_LAUNCHER=$(CCACHE)
# The programs that have threads in them, or stand between threads.
TSAN_TESTS := limit_test|metrics_test|log_test|net_test|store_test|admin_test|gateway_test|cli_test

.DEFAULT_GOAL := build
MAKEFLAGS += --no-print-directory
.PHONY: help build run test check lint fmt sim fuzz bench pages site clean release tests asan-ubsan tsan

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / - /' | sort

build: ## the product: build/weir
	tools/install build
	$(CONFIGURE) --preset release -DWEIR_TESTS=OFF
	cmake --build --preset release --target weir

run: build ## builds, and runs the demo: a chat, the gateway in front of it, and a page that shows limits at work
	build/weir demo

test: ## everything: unit, simulation and end-to-end tests, lint, sanitizers, a short turn of each fuzz target
	tools/install build test site
	$(MAKE) tests asan-ubsan tsan
	tools/fuzz 5
	$(CTEST) --test-dir build

tests: # the release tree with its tests
	$(CONFIGURE) --preset release -DWEIR_TESTS=ON
	cmake --build --preset release

# Unit tests alone: what they are called stands in ctest's list, and each is a target of that name.
define sanitized
	$(CONFIGURE) --preset $(1)
	cmake --build --preset $(1) --target $$(ctest --test-dir build/$(1) -N -L unit | sed -nE 's/^ *Test +#[0-9]+: //p' | grep -E '^($(2))$$')
	$(CTEST) --test-dir build/$(1) -L unit -R '^($(2))$$'
endef

asan-ubsan: ## unit tests under the address and undefined-behaviour sanitizers
	tools/install build test
	$(call sanitized,asan-ubsan,.*)

tsan: ## unit tests of what has threads, under the thread sanitizer
	tools/install build test
	$(call sanitized,tsan,$(TSAN_TESTS))

check: ## quick: layout, layers, text, unit tests
	tools/install build test
	tools/lint fast
	$(MAKE) tests
	$(CTEST) --test-dir build -L unit

lint: tests ## check's reading of the source, and clang-tidy over what has changed (`tools/lint all`: over everything)
	tools/lint

fmt: ## settles the layout of the C++ sources
	find src tests fuzz bench -name node_modules -prune -o \( -name '*.h' -o -name '*.cpp' -o -name '*.hpp' \) -print | xargs clang-format -i

sim: tests ## the gateway in simulation: make sim SEED=n
	WEIR_SIM_SEED=$(SEED) $(CTEST) --test-dir build -L sim --verbose

fuzz: ## every fuzz target for a while: make fuzz SECONDS=n
	tools/install build test
	tools/fuzz $(SECONDS)

bench: ## Weir, nginx, HAProxy and the floor of TCP, side by side: docs/performance.md
	tools/install build test bench
	$(MAKE) tests
	bench/run

pages: tests ## writes the pages of the manual that are made from the source
	WEIR_WRITE_PAGES=1 build/metrics_test --gtest_filter='MetricsReference.*'
	build/weir config reference >docs/reference/configuration.md
	build/weir config schema >docs/reference/weir.schema.json

site: ## the manual as a static site: build/site
	tools/install site
	tools/site/build.py build/site

clean: ## removes build/
	rm -rf build
