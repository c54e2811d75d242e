# Everything that a developer or CI runs. `make` alone says what there is.
#
# CI=true turns what is optional on a developer's machine into a requirement.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
SHELL_SCRIPTS := testbed/build testbed/control-plane testbed/platform/up .ci/run scripts/tour scripts/from-dev-to-prd scripts/playground

.PHONY: help
help: ## say what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# What tests stand on, each needed by some of them: stand-ins for AWS, and a Kubernetes cluster with what works on it.
CLUSTER := etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok helm4 registry
TESTBED := actionlint cfn-lint compliance-trestle ministack moto $(CLUSTER) helm3 kustomize opentofu prometheus \
	gateway-api-crds istio-crds gitea chromium axe-core

.PHONY: test
test: ## run every test (first builds what they stand on: 20 minutes, once)
	@for program in $(TESTBED); do testbed/build $$program >/dev/null || { \
		if [ "$${CI-}" = true ]; then echo "make test: $$program is required under CI" >&2; exit 1; fi; \
		echo "make test: going on without $$program; the tests that need it say that they are not run" >&2; }; done; \
	linter=$$(testbed/build --path cfn-lint || true); PATH="$${linter:+$$(dirname "$$linter"):}$$PATH" $(CARGO) test --locked --no-fail-fast

# The tests run 32 of them.
.PHONY: lives
lives: ## run a thousand lives of a pipeline with faults, deaths and two operators (10 to 40 minutes)
	$(CARGO) test --locked --lib -- --ignored thousand_lives

# What needs nothing but the Rust toolchain comes first: it fails soonest.
.PHONY: lint
lint: lint-format lint-rust lint-docs lint-shell lint-spelling lint-dependencies ## format, clippy, rustdoc, spelling, licences: no warning allowed

.PHONY: lint-format
lint-format:
	$(CARGO) fmt --check

.PHONY: lint-rust
lint-rust:
	$(CARGO) clippy --all-targets --locked -- -D warnings

.PHONY: lint-docs
lint-docs:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items --locked --quiet

.PHONY: lint-shell
lint-shell:
	@for script in $(SHELL_SCRIPTS); do bash -n "$$script"; done
	@if command -v shellcheck >/dev/null; then shellcheck $(SHELL_SCRIPTS); \
	else echo "make lint: no shellcheck on PATH, scripts are only parsed"; fi

.PHONY: lint-spelling
lint-spelling:
	@spell=$$(testbed/build typos) || { \
		if [ "$${CI-}" = true ]; then exit 1; fi; \
		echo "make lint: going on without typos" >&2; exit 0; }; \
	echo "typos"; "$$spell"

# cargo-deny takes minutes to build, so a developer's machine is not made to have it; CI is.
.PHONY: lint-dependencies
lint-dependencies:
	@deny=$$(command -v cargo-deny || { if [ "$${CI-}" = true ] || [ -x "$$(testbed/build --path cargo-deny)" ]; then testbed/build cargo-deny; fi; }); \
	if [ -n "$$deny" ]; then \
		echo "cargo deny check bans licenses sources"; \
		"$$deny" --all-features --locked check --hide-inclusion-graph bans licenses sources; \
	elif [ "$${CI-}" = true ]; then exit 1; \
	else echo "make lint: no cargo-deny; have it with: testbed/build cargo-deny (3 minutes, once)"; fi

.PHONY: audit
audit: ## check dependencies against the RustSec advisories (needs the network)
	"$$(command -v cargo-deny || testbed/build cargo-deny)" --all-features --locked check advisories

.PHONY: playground
playground: ## start MiniStack, a stand-in for AWS, and a Kubernetes cluster, and apply an example for real
	@for program in $(CLUSTER); do testbed/build $$program >/dev/null || break; done
	@scripts/playground

.PHONY: bench
bench: ## measure terrace beside its peers, and rewrite docs/benchmarks.md (40 minutes)
	$(CARGO) bench --locked --bench yardstick
	$(CARGO) bench --locked --bench stacks
	$(CARGO) bench --locked --bench kubernetes
	$(CARGO) bench --locked --bench delivery
	$(CARGO) bench --locked --bench review

.PHONY: docs
docs: ## build the reference of the library's modules
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items --locked

.PHONY: fmt
fmt: ## format the source
	$(CARGO) fmt
