# The steps of CI; each can be run by itself.

CARGO ?= cargo
# Dependencies are checked with one version, so that the same tree gives the same answer everywhere.
CARGO_DENY_VERSION := 0.20.2
TOOLS := target/tools
CARGO_DENY := $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
DENY := $(CARGO_DENY) --config .deny.toml

.DEFAULT_GOAL := build
.PHONY: build check clippy deny doc fmt

## build: the agent, as it is shipped
build:
	$(CARGO) build --release --locked

## check: everything that needs no running system, in the order of CI
check: deny fmt clippy doc

## deny: licences, banned crates, registries, known vulnerabilities
deny: $(CARGO_DENY)
	$(DENY) check --hide-inclusion-graph licenses bans sources
	@if $(DENY) fetch db; then \
		$(DENY) check --disable-fetch --hide-inclusion-graph advisories; \
	else \
		echo "WARNING: known vulnerabilities were NOT checked: the advisory database could not be fetched"; \
	fi

$(CARGO_DENY):
	$(CARGO) install cargo-deny --locked --version $(CARGO_DENY_VERSION) --profile dev \
		--root $(TOOLS)/cargo-deny-$(CARGO_DENY_VERSION) --target-dir $(TOOLS)/build

## fmt: the layout of the sources
fmt:
	$(CARGO) fmt --all --check

## clippy: the lints, warnings are errors
clippy:
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

## doc: the documentation builds and its links lead somewhere
doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
