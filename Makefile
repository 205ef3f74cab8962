# What the README names: demo, test, soak, playground, bench. Everything they need is set up by them, from the package
# registries; `make` alone prints this list.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test soak playground bench setup plugins examples guests host controlplane prometheus bindings lint deny fuzz extism

# No package is ever selected for the host's own target, so that cargo settles on one set of features and compiles
# wasmtime once.
CARGO := cargo
WASM := --target wasm32-wasip2 --profile plugin --locked
BUILT := target/wasm32-wasip2/plugin
SHIPPED := annotation dns expression http object prometheus scrape settle tcp window

say = @printf '\n==> %s\n' '$(1)'

help: ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

demo: plugins host ## Pods and checks from files, a live table, no cluster: edit a file and see a gate flip
	$(CARGO) build --locked --bin demo
	@target/debug/demo 127.0.0.1:18088 plugins/demo/server dev plugins/demo target/plugins

test: setup controlplane prometheus bindings lint plugins guests examples host ## Proves the project: format, lints and every test, on a real control plane
	$(call say,tests)
	$(CARGO) test --locked

# The page is written from whatever has passed: a row without a run says so.
soak: setup controlplane plugins guests host ## The faults at full length, one after the other, in more than an hour: figures in tests/FAULTS.md
	$(CARGO) build --locked --bin matrix
	@rm -f target/faults.jsonl
	@status=0; GATEHOST_SOAK=1 $(CARGO) test --locked --test cluster -- faults:: soak:: --test-threads=1 || status=$$?; target/debug/matrix; exit $$status

playground: setup controlplane plugins host ## A real control plane with the host running: play with kubectl
	$(CARGO) build --locked --bin playground
	@target/debug/playground

# The host is measured as it is shipped, and its peers are built as it is.
LEGS :=

bench: setup controlplane plugins guests examples extism ## The figures, leg by leg; some of them: LEGS="--quick evaluate flip"
	$(call say,host and peers as they are shipped (the first time compiles a second wasmtime))
	$(CARGO) build --release --locked --bin gatehost --bin bench
	@GATEHOST_BIN=$(CURDIR)/target/release/gatehost target/release/bench $(LEGS)

# A workspace of its own, with a wasmtime of its own: only `bench` needs it.
EXTISM := --manifest-path tests/extism/Cargo.toml --target-dir target/extism --locked

extism: setup ## Extism with the example check as its plugin, beside which bench measures ours
	$(call say,Extism (the first time compiles a second wasmtime))
	rustup target add wasm32-unknown-unknown
	$(CARGO) build $(EXTISM) --target wasm32-unknown-unknown --profile plugin -p on-track-extism
	$(CARGO) build $(EXTISM) --release -p extism-runner

setup:
	$(call say,the Rust target for plugins)
	@command -v rustup >/dev/null || { echo 'rustup is missing: see https://rustup.rs' >&2; exit 1; }
	rustup target add wasm32-wasip2

plugins: setup ## The shipped checks, into target/plugins
	$(call say,shipped checks)
	$(CARGO) build $(WASM) $(foreach p,$(SHIPPED),-p path+file://$(CURDIR)/plugins/$(p))
	@mkdir -p target/plugins
	@for p in $(SHIPPED); do cmp -s $(BUILT)/$$p.wasm target/plugins/$$p.wasm || { cp $(BUILT)/$$p.wasm target/plugins/.$$p.new && mv target/plugins/.$$p.new target/plugins/$$p.wasm; }; done

# The same check in four languages. Python's and JavaScript's take seconds, so they are made anew only for what they are
# made of.
EXAMPLES := target/examples
ON_TRACK := $(foreach l,rust python javascript c,$(EXAMPLES)/on-track-$(l).wasm)
WIT := $(wildcard wit/*.wit)

examples: bindings $(ON_TRACK) ## The example check in Rust, Python, JavaScript and C, into target/examples

.PHONY: $(EXAMPLES)/on-track-rust.wasm
$(EXAMPLES)/on-track-rust.wasm: | setup
	$(call say,the example in Rust)
	$(CARGO) build $(WASM) -p on-track
	@mkdir -p $(EXAMPLES)
	@cmp -s $(BUILT)/on_track.wasm $@ || { cp $(BUILT)/on_track.wasm $@.new && mv $@.new $@; }

$(EXAMPLES)/on-track-python.wasm: plugins/examples/python/check.py $(WIT) tests/wit/requirements.txt | bindings
	$(call say,the example in Python)
	@mkdir -p $(EXAMPLES)/python
	@cp $< $(EXAMPLES)/python/
	target/wit/venv/bin/componentize-py -d wit -w plugin componentize -p $(EXAMPLES)/python check -o $@.new
	@mv $@.new $@

# Where the tool is, because node looks for it from there.
$(EXAMPLES)/on-track-javascript.wasm: plugins/examples/javascript/check.js plugins/examples/javascript/build.mjs $(WIT) tests/wit/package-lock.json | bindings
	$(call say,the example in JavaScript)
	@mkdir -p $(EXAMPLES) target/wit/node/example
	@cp plugins/examples/javascript/* target/wit/node/example/
	node target/wit/node/example/build.mjs wit $@.new
	@mv $@.new $@

$(EXAMPLES)/on-track-c.wasm: plugins/examples/c/check.c $(WIT) tests/wit/setup.sh | bindings
	$(call say,the example in C)
	$(CARGO) build --locked --bin component
	@mkdir -p $(EXAMPLES)/c
	target/debug/component bindings wit $(EXAMPLES)/c
	target/wit/clang/wasm-clang -mexec-model=reactor -O2 -Wall -Wextra -Werror -I $(EXAMPLES)/c -o $(EXAMPLES)/c/check.wasm \
		$< $(EXAMPLES)/c/plugin.c $(EXAMPLES)/c/plugin_component_type.o
	target/debug/component new $(EXAMPLES)/c/check.wasm $@.new
	@mv $@.new $@

guests: setup ## The plugins with one fault each that the tests use
	$(call say,guests of the tests)
	$(CARGO) build $(WASM) -p guests --examples

host: ## The host, target/debug/gatehost
	$(call say,host (the first time compiles wasmtime: about six minutes on two cores))
	$(CARGO) build --locked --bin gatehost

controlplane: ## The real Kubernetes control plane of the tests, built from Go modules
	$(call say,control plane)
	@command -v go >/dev/null || { echo 'Go 1.26 or later is missing: the control plane of the tests is built with it' >&2; exit 1; }
	tests/controlplane/build.sh target/controlplane

prometheus: ## A real Prometheus and an exporter for the tests, from Debian's packages
	$(call say,Prometheus)
	tests/prometheus/setup.sh

bindings: ## What generates bindings of wit/ in other languages and makes plugins of them
	$(call say,tools of the other languages)
	tests/wit/setup.sh

lint: setup deny
	$(call say,format and lints)
	@rustup component add rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(CARGO) fmt --manifest-path tests/extism/Cargo.toml --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

# Compiled without optimisation, which takes a minute instead of several. The advisories are on GitHub: where that cannot
# be reached within two minutes, one line says so.
DENY := 0.20.2
deny := target/tools/bin/cargo-deny --locked --offline

deny: setup ## Licenses, sources, bans and advisories of what is depended on
	$(call say,what is depended on)
	@target/tools/bin/cargo-deny --version 2>&1 | grep -qx 'cargo-deny $(DENY)' || \
		CARGO_PROFILE_DEV_DEBUG=false $(CARGO) install cargo-deny --locked --version $(DENY) --debug --root target/tools
	$(CARGO) fetch --locked
	$(deny) check bans licenses sources
	@if GIT_TERMINAL_PROMPT=0 timeout 120 target/tools/bin/cargo-deny fetch db >target/tools/deny.log 2>&1; then \
		$(deny) check advisories; \
	else \
		echo 'advisories, and whether a crate was yanked, were not checked: no database (target/tools/deny.log says why)'; \
	fi

# Without a sanitizer, which only a nightly compiler has, and hardly optimised: the targets load and smith compile wasmtime
# once more. What is found interesting on the way goes under target; what breaks a rule, to tests/fuzz/artifacts.
FUZZ := 0.13.2
SECONDS := 60

fuzz: setup ## Looks for inputs that break a rule of the host, a minute a target; longer: SECONDS=3600
	$(call say,cargo-fuzz)
	@target/tools/bin/cargo-fuzz --version 2>&1 | grep -qx 'cargo-fuzz $(FUZZ)' || \
		CARGO_PROFILE_DEV_DEBUG=false $(CARGO) install cargo-fuzz --locked --version $(FUZZ) --debug --root target/tools
	@target() { \
		printf '\n==> fuzzing %s\n' "$$1"; mkdir -p "target/fuzz/corpus/$$1"; \
		target/tools/bin/cargo-fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz --sanitizer none --dev "$${@:2}" \
			-- -max_total_time=$(SECONDS) -timeout=90 -max_len=16384 -len_control=0 -print_final_stats=1; \
	}; \
	for name in check verdict pod; do target $$name $$name target/fuzz/corpus/$$name tests/fuzz/corpus/$$name; done; \
	target load --features load load target/fuzz/corpus/load tests/fuzz/corpus/load; \
	target smith --features load smith target/fuzz/corpus/smith
