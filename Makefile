# The steps of CI; each can be run by itself. `make help` lists them.

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(TARGET)/tools
# Dependencies are checked with one version, so that the same tree gives the same answer everywhere.
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
DENY := $(CARGO_DENY) --config .deny.toml
# Packages, too, are the same wherever they are built of the same tree.
CARGO_DEB_VERSION := 3.8.0
CARGO_DEB := $(TOOLS)/cargo-deb-$(CARGO_DEB_VERSION)/bin/cargo-deb
CARGO_GENERATE_RPM_VERSION := 0.21.1
CARGO_GENERATE_RPM := $(TOOLS)/cargo-generate-rpm-$(CARGO_GENERATE_RPM_VERSION)/bin/cargo-generate-rpm
# cargo finds its subcommands here, too.
export PATH := $(PATH):$(abspath $(TOOLS))/bin
ASSETS := $(or $(KUBEBUILDER_ASSETS),$(abspath $(TARGET))/kubernetes)
FUZZ_SECONDS ?= 60
# The property tests repeat the same cases, so that a change fails by its own fault only.
# `make explore` looks for new ones.
export PROPTEST_RNG_SEED ?= 1
MINUTES ?= 2
REPORT ?= docs/reliability.md
# rustc's own target, where none is named.
PROBE_TARGET ?= $(shell rustc --print host-tuple)
PROBE_IMAGE ?= localhost/probe:0.1.0
SCREENSHOTS ?= docs/images
# The release that this machine runs, if it is Debian's: its C library is the one that is linked to.
PACKAGE_SUITE ?= $(or $(shell . /etc/os-release && [ "$$ID" != debian ] || echo $$VERSION_CODENAME),trixie)
# `dev` is enough to test the packages themselves.
PACKAGE_PROFILE ?= release
IS_RELEASE := $(filter release,$(PACKAGE_PROFILE))
$(if $(filter release dev,$(PACKAGE_PROFILE)),,$(error PACKAGE_PROFILE is release or dev, not $(PACKAGE_PROFILE)))
PACKAGE_ROOT := $(abspath $(TARGET))/package-root
PACKAGE_NEEDS := systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,curl,zsh,fish
MACHINE := $(abspath $(TARGET))/machine
# The same wherever it is built: by digest, of 2026-08-04. Raise it here and in the Containerfile.
BASE ?= docker.io/library/debian:bookworm-slim@sha256:abd67ffcfa541b485a3dff59865ab629aa048a6c613e639d36e7456b0b229241
IMAGE ?= localhost/device-worker-ng:latest
PODMAN5 := $(or $(PODMAN_ROOT),$(abspath $(TARGET))/podman5)

.DEFAULT_GOAL := build
.PHONY: bench bench-short build build-dev chaos check clippy demo deny doc doctest environment explore fmt \
	fuzz have-nextest help image machine-environment manual nextest package package-environment packaged probe-image probe-static \
	simulate test test-environment test-kubernetes test-machine test-package test-podman5 test-ui unit

## help: this list
help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST) | awk -F ': ' '{ printf "%-16s %s\n", $$1, $$2 }'

## build: the agent, as it is shipped
# Its version names the commit; from a source archive without git it is the bare version.
build:
	DEVICE_WORKER_NG_COMMIT=$$(git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null) \
		$(CARGO) build --release --locked

## demo: the agent at work on real pods, in half a minute (root)
# One call, so that agent and demo share their dependencies. `sudo` may not know cargo: then what
# was built before is run.
demo:
	@if command -v $(CARGO) >/dev/null; then \
		$(CARGO) build --locked --bin device-worker-ng --example demo; \
	elif [ ! -x $(TARGET)/debug/examples/demo ]; then \
		echo "cargo was not found: run 'make demo' as the user who has it, then 'sudo make demo'" >&2; \
		exit 1; \
	fi
	@if [ "$$(id -u)" = 0 ]; then tests/environment/install.sh; fi
	@$(TARGET)/debug/examples/demo

## probe-image: the image of examples/probe, PROBE_IMAGE; PROBE_TARGET for other devices
# Static, so that the image needs nothing else. The program looks up no name, which is what a static
# C library cannot do.
probe-image: environment probe-static
	podman build --tag $(PROBE_IMAGE) --file examples/probe/Containerfile $(TARGET)/probe-image

probe-static:
	RUSTFLAGS="-C target-feature=+crt-static" \
		$(CARGO) build --release --locked -p probe --target $(PROBE_TARGET)
	mkdir -p $(TARGET)/probe-image
	cp $(TARGET)/$(PROBE_TARGET)/release/probe $(TARGET)/probe-image/

## package: a .deb and an .rpm of the release, into target/packages; MAINTAINER="Name <address>"
package: packaged manual $(CARGO_DEB) $(CARGO_GENERATE_RPM)
	rm -rf $(TARGET)/packages && mkdir -p $(TARGET)/packages
	$(DATED) $(CARGO_DEB) $(AS_PACKAGED) $(if $(IS_RELEASE),,--fast) --output $(TARGET)/packages/ \
		$(if $(MAINTAINER),--maintainer "$(MAINTAINER)")
	$(DATED) $(CARGO_GENERATE_RPM) --profile packaged --output $(TARGET)/packages/ \
		$(if $(MAINTAINER),--set-metadata 'vendor = "$(MAINTAINER)"')

# Files in packages are as old as the commit, not as the build.
DATED = SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct 2>/dev/null || date +%s)
# For both tools `target/release` in Cargo.toml then stands for `target/packaged`.
AS_PACKAGED := --profile packaged --no-build --no-strip --locked

# The program that goes into packages and images: the release, or what the tests have built already.
packaged: $(if $(IS_RELEASE),build,build-dev)
	mkdir -p $(TARGET)/packaged
	install $(if $(IS_RELEASE),,--strip) -t $(TARGET)/packaged \
		$(TARGET)/$(if $(IS_RELEASE),release,debug)/device-worker-ng

# As part of the workspace, so that dependencies have the features that they have for the tests.
build-dev:
	$(CARGO) build --workspace --locked --bin device-worker-ng --bin manual

## manual: manual pages and shell completions, into target/packaged/manual
manual: build-dev
	rm -rf $(TARGET)/packaged/manual
	$(TARGET)/debug/manual $(TARGET)/packaged/manual $$(git log -1 --format=%cs 2>/dev/null || date +%F)
	gzip --best --no-name $(TARGET)/packaged/manual/man/*.1

## image: an image of the agent, IMAGE, upon BASE; packaging/container has a quadlet for it
image: packaged
	mkdir -p $(TARGET)/image
	cp $(TARGET)/packaged/device-worker-ng LICENSE $(TARGET)/image/
	podman build --tag $(IMAGE) --build-arg BASE=$(BASE) --file packaging/container/Containerfile \
		$(TARGET)/image

## test: everything that CI wants of a change; installs what is missing (root)
# What steps write into the tree when they are run by themselves goes elsewhere. The packages are made
# of the program that is there: the release takes minutes more, and is not what these tests are about.
STEPS := environment deny fmt clippy doc doctest bench-short nextest simulate test-environment \
	test-kubernetes test-ui test-package chaos
STEP_SETTINGS = REPORT=$(TARGET)/reliability.md CHAOS_SEED=1 SCREENSHOTS=$(TARGET)/screenshots \
	PACKAGE_PROFILE=dev
test:
	@for step in $(STEPS); do \
		echo "==== $$step"; \
		start=$$(date +%s); \
		$(MAKE) --no-print-directory $$step $(STEP_SETTINGS) || { \
			echo "make test failed at this step: make $$step $(STEP_SETTINGS)" >&2; exit 1; }; \
		[ $$step = chaos ] || echo "==== $$step took $$(($$(date +%s) - start)) s"; \
	done

## test-environment: what this file and its scripts do on other machines, where programs are played
test-environment: have-nextest $(CARGO_DENY)
	$(CARGO) nextest run --workspace --locked --test environment -P environment

## test-kubernetes: the tests on a real API server; builds one first unless KUBEBUILDER_ASSETS is set
test-kubernetes: have-nextest
	$(if $(KUBEBUILDER_ASSETS),,tests/kubernetes/build-apiserver.sh $(ASSETS))
	KUBEBUILDER_ASSETS=$(ASSETS) $(CARGO) nextest run --workspace --locked -P kubernetes

## test-podman5: the tests on real podman once more, on the podman 5 of a newer Debian (root)
test-podman5: have-nextest environment
	tests/environment/podman-root.sh $(PODMAN5)
	PODMAN_ROOT=$(PODMAN5) $(CARGO) nextest run --workspace --locked --no-fail-fast \
		-E 'binary(/^(podman_)?real$$|^security$$/)'

## test-ui: the status page of a real agent in a real browser; pictures into SCREENSHOTS (root)
test-ui: have-nextest
	@tests/environment/install.sh ui
	SCREENSHOTS=$(abspath $(SCREENSHOTS)) $(CARGO) nextest run --workspace --locked --test ui -P ui

## test-package: the packages, installed on a machine that systemd runs, upgraded and removed (root)
# The package under test is made once more as a later version, for the upgrade.
test-package: have-nextest package-environment package probe-static
	tests/environment/podman-root.sh $(PACKAGE_ROOT) $(PACKAGE_SUITE) $(PACKAGE_NEEDS)
	rm -rf $(TARGET)/package-test && mkdir -p $(TARGET)/package-test
	$(DATED) $(CARGO_DEB) $(AS_PACKAGED) --fast --quiet --deb-version 99 --output $(TARGET)/package-test/
	PACKAGE_ROOT=$(PACKAGE_ROOT) $(CARGO) nextest run --workspace --locked --test package -P package

## test-machine: the package on a virtual machine: systemd, cgroup v2, crun, a power cut, a reboot (root)
# The machine is made once, in MACHINE. It is emulated, so that it needs no rights to the processor.
test-machine: have-nextest machine-environment packaged manual $(CARGO_DEB)
	tests/environment/machine.sh $(MACHINE)
	rm -rf $(TARGET)/machine-deb && mkdir -p $(TARGET)/machine-deb
	$(DATED) $(CARGO_DEB) $(AS_PACKAGED) --fast --quiet --output $(TARGET)/machine-deb/
	MACHINE=$(MACHINE) MACHINE_DEB=$$(echo $(abspath $(TARGET))/machine-deb/*.deb) \
		$(CARGO) nextest run --workspace --locked --test machine -P machine

machine-environment:
	@tests/environment/install.sh machine

# The tools that make packages need some of it, too.
package-environment:
	@tests/environment/install.sh packages

## simulate: the whole agent under random faults in virtual time; SEEDS=n for n stories, SEED=n for one
simulate: have-nextest
	$(CARGO) nextest run --workspace --locked -P simulation --no-capture

## chaos: real podman and agent under random faults for MINUTES (2), SEED=n to repeat; table into REPORT
chaos: have-nextest
	MINUTES=$(MINUTES) SEED=$(or $(SEED),$(CHAOS_SEED)) REPORT=$(abspath $(REPORT)) \
		$(CARGO) nextest run --workspace --locked --test chaos -P chaos --no-capture

## check: everything that needs no running system, in the order of CI
check: deny fmt clippy doc

## environment: installs what the tests need of the system, where it is missing
environment:
	@tests/environment/install.sh

## deny: licences, banned crates, registries, known vulnerabilities
deny: $(CARGO_DENY)
	$(DENY) check --hide-inclusion-graph licenses bans sources
	@if $(DENY) fetch db; then \
		$(DENY) --offline check --hide-inclusion-graph advisories; \
	else \
		echo "WARNING: known vulnerabilities were NOT checked: the advisory database could not be fetched" >&2; \
	fi

$(CARGO_DENY):
	$(CARGO) install cargo-deny --locked --version $(CARGO_DENY_VERSION) --profile dev \
		--root $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION) --target-dir $(TOOLS)/build

$(CARGO_DEB):
	$(CARGO) install cargo-deb --locked --version $(CARGO_DEB_VERSION) --profile dev \
		--root $(TOOLS)/cargo-deb-$(CARGO_DEB_VERSION) --target-dir $(TOOLS)/build

$(CARGO_GENERATE_RPM):
	$(CARGO) install cargo-generate-rpm --locked --version $(CARGO_GENERATE_RPM_VERSION) --profile dev \
		--root $(TOOLS)/cargo-generate-rpm-$(CARGO_GENERATE_RPM_VERSION) --target-dir $(TOOLS)/build

## fmt: the layout of the sources
fmt:
	$(CARGO) fmt --all --check

## clippy: the lints, warnings are errors
clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

## doc: the documentation builds and its links lead somewhere
doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

## doctest: the examples in the documentation
doctest:
	$(CARGO) test --doc --workspace --locked

## nextest: unit tests, actors, the agent as a whole, real podman
nextest: have-nextest
	$(CARGO) nextest run --workspace --locked

## unit: the tests that need neither root nor podman
unit: have-nextest
	$(CARGO) nextest run --workspace --locked -E 'not binary(/real$$|^security$$/)'

# Only where there is none: the one of the machine is as good.
have-nextest:
	@$(CARGO) nextest --version >/dev/null 2>&1 || \
		$(CARGO) install cargo-nextest --locked --root $(TOOLS) --target-dir $(TOOLS)/build

## explore: the property tests with cases that were never tried, CASES (20000) of each
explore: have-nextest
	PROPTEST_RNG_SEED=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ') PROPTEST_CASES=$(or $(CASES),20000) \
		$(CARGO) nextest run -p actors -p grammar --locked --no-fail-fast \
		-E 'not binary(/real|simulation|chaos/)'

## bench: what the agent costs, as a table into docs/performance.md, and conditions beside others
bench:
	$(CARGO) build --release --locked -p device-worker-ng -p bench-baseline
	$(CARGO) build --locked -p bench
	$(TARGET)/debug/bench $(TARGET)/release/device-worker-ng $(TARGET)/release/bench-baseline full
	$(CARGO) bench --locked -p grammar --bench condition
	cd grammar/benches-compare && CARGO_TARGET_DIR=$(abspath $(TARGET))/compare $(CARGO) bench --locked
	$(TARGET)/debug/bench conditions $(TARGET)/criterion $(TARGET)/compare/criterion

## bench-short: that the measurements work; the figures of these runs mean nothing
bench-short:
	$(CARGO) build --workspace --locked
	$(TARGET)/debug/bench $(TARGET)/debug/device-worker-ng $(TARGET)/debug/bench-baseline short

## fuzz: random input for conditions, answers, manifests, metrics and podman, FUZZ_SECONDS (60) for each target
# What it finds stays in the target folder; the corpus in the tree is the seed.
fuzz:
	@$(CARGO) +nightly --version >/dev/null 2>&1 || { \
		echo "fuzzing needs a nightly compiler: rustup toolchain install nightly" >&2; exit 1; }
	@$(CARGO) fuzz --version >/dev/null 2>&1 || \
		$(CARGO) install cargo-fuzz --locked --root $(TOOLS) --target-dir $(TOOLS)/build
	@for path in grammar/fuzz/fuzz_targets/*.rs actors/fuzz/fuzz_targets/*.rs; do \
		target=$$(basename $$path .rs); \
		found=$(abspath $(TARGET))/fuzz/found/$$target; \
		mkdir -p $$found/inputs; \
		(cd $${path%%/*} && $(CARGO) +nightly fuzz run --target-dir $(abspath $(TARGET))/fuzz $$target \
			$$found/inputs fuzz/corpus/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
			-rss_limit_mb=1024 -artifact_prefix=$$found/) || exit 1; \
	done
