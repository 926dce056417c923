# The commands of the README. Each sets up what it needs first.
#   make serve         build and serve with the embedded default
#   make test          build and run every test, the real clients in their quick form included
#   make check         formatting, lints and documentation, warnings denied
#   make pages         writes docs/s3-operations.md and docs/s3-conformance.md
#   make conformance   the real clients on real data, in full; installs them, and writes docs/clients.md
#   make bench         figures, beside whichever peers are installed
#   make bench-parts   what sealing, coding, the log and the parsers cost by themselves
#   make drives        drives of a real server lost, replaced and filled again: what it took, in 4+2, 8+3 and 8+4
#   make flips         bits flipped and sectors zeroed in every kind of file, under a serving server
#   make fuzz          each parser of strangers' bytes under libFuzzer, FUZZ_SECONDS each; builds in fuzz/target
#   make slow          PUT and GET while drives answer half a second late, on disks of ours: nothing may be held up
#   make interleavings threads of drives, log, leases and budget under a scheduler of ours: who goes first, anywhere
#   make torture       kill -9 in a loop under load and at each step of the protocols, power cuts on a disk of ours,
#                      histories of many clients on few keys judged for an order, races of 64 clients for a thousand
#                      rounds, a million random sequences against the model, all properties with other random numbers;
#                      with verification

SHELL := /bin/bash
ifdef CI
# A fresh clone reuses the build output of the last one.
CARGO_TARGET_DIR ?= $(HOME)/.cache/chartrier/target
else
CARGO_TARGET_DIR ?= $(CURDIR)/target
endif
export CARGO_TARGET_DIR
BIN := $(CARGO_TARGET_DIR)/release

ROUNDS ?= 200
POWER_ROUNDS ?= 50
FLIPS_ROUNDS ?= 20
KILL_ROUNDS ?= 10
FUZZ_SECONDS ?= 600
RACE_ROUNDS ?= 1000
SEQUENCES ?= 1000000

# Properties are tested with the same random numbers each time, so that a failure is the change's. Others are for
# `make torture`, or for PROPTEST_RNG_SEED= before `make test`.
PROPTEST_RNG_SEED ?= 20261122
SEEDS ?= $(shell shuf -i 0-4294967295 -n 3)

.PHONY: serve build setup test check pages conformance bench bench-parts drives flips fuzz slow interleavings torture clean-data

setup:
	@scripts/setup build

build: setup
	cargo build --release --locked --workspace --bins

serve: setup
	cargo build --release --locked -p chartrier --bins
	@exec $(BIN)/chartrier serve $(ARGS)

test:
	@scripts/setup build clients
	cargo build --release --locked --workspace --bins
	PROPTEST_RNG_SEED=$(PROPTEST_RNG_SEED) cargo test --release --locked --workspace
	$(BIN)/chartrier-conformance --server $(BIN)/chartrier
	$(BIN)/chartrier-histories --server $(BIN)/chartrier --kills 3
	conformance/clients/run quick $(BIN)

check: setup
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps --document-private-items

# The pages of docs/ that are made and not written: operations and conformance.
pages: build
	CHARTRIER_WRITE_DOCS=1 cargo test --release --locked -p chartrier --lib operations_page
	$(BIN)/chartrier-conformance --server $(BIN)/chartrier --report docs/s3-conformance.md

conformance:
	@scripts/setup build clients all-clients
	cargo build --release --locked --workspace --bins
	conformance/clients/run full $(BIN) --report docs/clients.md

bench: build
	@scripts/setup clients
	benches/run $(BIN)
	.venv/bin/python benches/listing $(BIN)

bench-parts: setup
	cargo bench --locked -p chartrier-benches --bench parts

drives: build
	@scripts/setup clients
	for erasure in 4+2 8+3 8+4; do conformance/durability/drives sample $(BIN) $$erasure --megabytes 256 || exit 1; done

flips: build
	@scripts/setup clients
	conformance/durability/flips $(BIN) --rounds $(FLIPS_ROUNDS)

fuzz: setup
	FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz/run $(FUZZ_TARGETS)

slow: build
	$(BIN)/chartrier-slow --server $(BIN)/chartrier

interleavings: setup
	cargo test --release --locked -p chartrier-storage --lib --features shuttle interleavings

torture: build interleavings
	$(BIN)/chartrier-torture --server $(BIN)/chartrier --verify $(BIN)/chartrier-verify --rounds $(ROUNDS)
	$(BIN)/chartrier-torture --server $(BIN)/chartrier --verify $(BIN)/chartrier-verify --rounds $(POWER_ROUNDS) --power-cut
	$(BIN)/chartrier-torture --server $(BIN)/chartrier --verify $(BIN)/chartrier-verify --rounds $(POWER_ROUNDS) --packing --load-ms-max 4000
	$(BIN)/chartrier-histories --server $(BIN)/chartrier --kills $(POWER_ROUNDS)
	$(BIN)/chartrier-histories --server $(BIN)/chartrier --kills $(KILL_ROUNDS) --power-cut
	$(BIN)/chartrier-conformance --server $(BIN)/chartrier --filter rounds:: --race-rounds $(RACE_ROUNDS)
	for seed in $(SEEDS); do PROPTEST_RNG_SEED=$$seed cargo test --release --locked --workspace || exit 1; done
	CHARTRIER_KILL_ROUNDS=$(KILL_ROUNDS) cargo test --release --locked -p chartrier-storage --lib kill:: -- --nocapture
	CHARTRIER_SEQUENCES=$(SEQUENCES) cargo test --release --locked -p chartrier-storage --lib sequences:: -- --nocapture
