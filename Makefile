# make demo and make test are all that a newcomer needs; both install what is missing, Rust included
# (as root, on Debian or Ubuntu), and say what they install.

SHELL = /bin/bash
.DEFAULT_GOAL = build
.PHONY: build demo test test-quick bench bench-plan bench-observe bench-check bench-first-plan bench-tunnel test-kernel test-packets docs lint fuzz install uninstall

CARGO ?= cargo
# Where rustup puts cargo for a user whose shell does not know yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
PREFIX ?= /usr/local
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
# The shell asks, when it gets there: rustc may be installed by a line before.
HOST = $$(rustc --print host-tuple)
DEBUG = $(TARGET_DIR)/$(HOST)/debug/wgfleet
RELEASE = $(TARGET_DIR)/$(HOST)/release/wgfleet
DOCS = $(TARGET_DIR)/docs
PEERS = $(TARGET_DIR)/bench/peers

build:
	@scripts/setup.sh build
	$(CARGO) build --locked

# A lab of three sites on this machine: check, plan, apply, status, packets, a change under a ping.
demo:
	@scripts/setup.sh demo
	@scripts/privileges.sh
	$(CARGO) build --locked
	@WGFLEET=$(DEBUG) scripts/demo.sh

# Everything: unit, property, snapshot and lab tests. Needs root.
test:
	@scripts/setup.sh test
	@scripts/privileges.sh
	@scripts/test.sh all

# Fleets on kernel WireGuard, in an emulated machine with Debian's cloud kernel. Needs root.
test-kernel:
	@scripts/setup.sh kernel
	@scripts/test-kernel.sh $(FILTER)

# What needs no root: unit, property and snapshot tests.
test-quick:
	@scripts/setup.sh build
	@scripts/test.sh quick

# The proof against packets over 500 random fleets, or SEEDS=FROM..TO. Needs root; takes half an hour.
test-packets:
	@scripts/setup.sh test
	@scripts/privileges.sh
	WGFLEET_SEEDS=$(or $(SEEDS),0..500) $(CARGO) test --locked --test packets -- --nocapture

# Whole-process ratios, each taken in one run. Needs root.
bench:
	@scripts/setup.sh test
	@scripts/privileges.sh
	$(CARGO) bench --locked

# `plan` with nothing to do over 50 hosts against a bare `ssh HOST true`. Needs root.
bench-plan:
	@scripts/setup.sh test
	@scripts/privileges.sh
	$(CARGO) build --locked --quiet
	@WGFLEET=$$(realpath $(DEBUG)) benches/plan.sh

# CPU time that observing costs a host; OLD=REVISION: beside the script of that revision. Needs root.
bench-observe:
	@scripts/setup.sh test
	@scripts/privileges.sh
	@benches/observe.sh 40 $(OLD)

# check and render of a mesh of 1,000 and of 10,000 spokes on two hubs. Needs no root.
bench-check:
	@scripts/setup.sh build
	$(CARGO) bench --locked --bench mesh

# The first plan of a mesh of 1,000, without hosts: time and size. Needs no root.
bench-first-plan:
	@scripts/setup.sh build
	$(CARGO) bench --locked --bench first_plan

# The embedded tunnel beside gotatun, boringtun and wireguard-go, in alternating rounds. Needs root.
#   make bench-tunnel ARGS="--only tcp --rounds 1 --peers gotatun"      less than a minute
#   make bench-tunnel WGFLEET_BENCH_PEER=/path/to/another               one more beside it
bench-tunnel: $(PEERS)/bin/gotatun $(PEERS)/bin/boringtun-cli
	@scripts/setup.sh bench
	@scripts/privileges.sh
	$(CARGO) build --release --locked
	@WGFLEET=$$(realpath $(RELEASE)) WGFLEET_BENCH_PEER=$(WGFLEET_BENCH_PEER) \
		$(CARGO) bench --locked --quiet --profile dev --bench tunnel -- $(ARGS)

$(PEERS)/bin/gotatun:
	$(CARGO) install --locked --root $(PEERS) --target-dir $(TARGET_DIR)/bench/build gotatun-cli@0.10.2

$(PEERS)/bin/boringtun-cli:
	$(CARGO) install --locked --root $(PEERS) --target-dir $(TARGET_DIR)/bench/build boringtun-cli@0.7.1

# Each fuzz target for ten minutes, or SECONDS=60; one of them with TARGET=uapi.
fuzz:
	@scripts/fuzz.sh $(or $(SECONDS),600) $(TARGET)

# The JSON Schemas, the tables of the file format and the picture in the repository; man pages and completions under target/docs.
docs:
	WGFLEET_WRITE_SCHEMAS=1 $(CARGO) test --locked --quiet --lib cli::schema
	WGFLEET_WRITE_DOCS=1 $(CARGO) test --locked --quiet --test format the_documentation_has_the_tables
	@$(MAKE) --no-print-directory build
	scripts/picture.sh $(DEBUG) examples/hub-and-spoke > docs/images/topology.svg
	@rm -rf $(DOCS)
	$(DEBUG) man $(DOCS)/man
	@mkdir -p $(DOCS)/completions
	$(DEBUG) completions bash > $(DOCS)/completions/wgfleet
	$(DEBUG) completions zsh > $(DOCS)/completions/_wgfleet
	$(DEBUG) completions fish > $(DOCS)/completions/wgfleet.fish

lint:
	@scripts/setup.sh lint
	@scripts/lint.sh

install:
	@scripts/setup.sh build
	$(CARGO) build --release --locked
	install -D -m 755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/wgfleet
	install -m 755 $(RELEASE)-helper $(DESTDIR)$(PREFIX)/bin/wgfleet-helper
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	$(RELEASE) man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(RELEASE) completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/wgfleet
	$(RELEASE) completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_wgfleet
	$(RELEASE) completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/wgfleet.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/wgfleet $(DESTDIR)$(PREFIX)/bin/wgfleet-helper $(DESTDIR)$(PREFIX)/share/man/man1/wgfleet*.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/wgfleet \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_wgfleet \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/wgfleet.fish
