# What people call. Everything it makes lies in target/, .venv/ and data/.
.DEFAULT_GOAL := help
SHELL := /bin/bash
CARGO ?= cargo
FRAMES := target/bench/frames.jsonl
FRAMES_RECORDS ?= 2000000
# Of the per-issue service: pushes of one preset each, named after their dataset.
PUSHES := target/bench/ticks.jsonl target/bench/books.jsonl
PUSHES_RECORDS ?= 300000
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=
# Sets of tests/readers/old/sets.txt, or "ci" for those that CI installs.
OLD_READERS ?= all
# Where `make install` puts the program; DESTDIR stands before all of it, for packagers.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR ?=

.PHONY: help build build-sabotaged install wheel deb demo test test-rust run-rust test-readers run-readers test-wheel test-converters test-old-readers test-faults test-systemd test-page \
	check fuzz bench bench-peers bench-live bench-bulk bench-layout bench-daily bench-books bench-views frames

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# The whole workspace or what the demonstration needs, and nothing else: cargo builds a dependency anew for a choice of packages
# that asks for other features of it. These two ask for the same; tests/harness/Cargo.toml says how.
build: ## build the programs: target/release/krx-recorder, krx-simulator and what tests and measures them
	$(CARGO) build --release --locked --workspace --bins

# Not after `build`: that is for a user, and this as a rule for root.
install: ## install what was built, with units and configuration: PREFIX (/usr/local), DESTDIR
	PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' DESTDIR='$(DESTDIR)' deploy/install.sh

wheel: build ## make the wheels of the Python package krxdata: target/wheels
	crates/krx-python/make-wheels.sh

deb: build ## make the Debian package: target/debian
	CARGO='$(CARGO)' deploy/deb-tools.sh
	$(CARGO) deb --no-build --locked --strip --package krx-recorder

demo: ## record a simulated day of both services and read it back
	$(CARGO) build --release --locked --package krx-recorder --package krx-simulator --package krx-demo --bins
	target/release/krx-demo

# Both halves at once: each waits for recordings much of the time. They run what was built before.
test: build-sabotaged ## pass all tests
	$(MAKE) --jobs=2 run-rust run-readers

test-rust: build-sabotaged ## unit, property and end-to-end tests
	$(MAKE) run-rust

# At least four tests at a time: they wait, too. Without MAKEFLAGS: cargo and rustdoc cannot join make's jobs from here, and warn.
run-rust:
	MAKEFLAGS= RUST_TEST_THREADS=$$(($$(nproc) > 4 ? $$(nproc) : 4)) $(CARGO) test --release --locked --workspace

# The defects prove that the tests would find them. The sound program is built last, and so is the one that is left.
build-sabotaged: ## build a recorder with defects for the tests: target/sabotaged/krx-recorder
	$(CARGO) build --release --locked --workspace --bin krx-recorder --features krx-recorder/sabotage
	mkdir -p target/sabotaged
	cp target/release/krx-recorder target/sabotaged/krx-recorder
	$(MAKE) build

test-faults: build-sabotaged ## every fault of process, disk, clock and network (root, an hour; tests/tools/fault-tools.sh)
	KRX_FAULTS=full $(CARGO) test --release --locked --workspace --test faults -- --nocapture --test-threads=1

test-systemd: deb ## real systemd and real cron install and run the package (root, two minutes)
	python3 tests/systemd/run.py

test-page: build ## open the status page and a report in Chromium; screenshots in target/page (tests/tools/page-tools.sh)
	tests/tools/page-tools.sh
	npm ci --prefix tests/page --no-audit --no-fund --loglevel=error
	node --test --test-concurrency=1 tests/page/page.test.mjs tests/page/newest.test.mjs tests/page/report.test.mjs

test-readers: build ## DuckDB, pandas, polars and pyarrow read what is recorded, also while it is
	$(MAKE) run-readers

run-readers:
	tests/tools/python-env.sh
	.venv/bin/python -m pytest -q -n 2 --dist loadfile tests/readers tests/bench/peers tests/bench/layout --ignore tests/readers/old

test-wheel: wheel ## install each wheel into an empty environment, and test it there, with docs/python.md
	tests/tools/wheel-tests.sh

test-converters: build ## run a back-test of nautilus_trader and of hftbacktest over what krxdata writes for them
	tests/tools/converter-tests.sh

test-old-readers: build ## readers of years ago read everything too: all, or OLD_READERS (Python 3.11; Spark where Java is; 2 GB)
	tests/tools/python-env.sh
	tests/tools/old-readers.sh $(OLD_READERS)

check: ## what CI runs before the tests: formatting, lints, documentation, dependencies, units
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/fuzz/Cargo.toml --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps --document-private-items
	CARGO='$(CARGO)' tests/tools/check-dependencies.sh
	deploy/check-units.sh

fuzz: ## look for inputs that break a parser: a minute for each, or FUZZ_SECONDS, of all or FUZZ_TARGETS
	tests/tools/fuzz.sh $(FUZZ_SECONDS) $(FUZZ_TARGETS)

frames: $(FRAMES) $(PUSHES) ## write the files of frames that the benchmarks read

$(FRAMES): | build
	mkdir -p $(@D)
	target/release/krx-simulator --write-frames $@.partial --records $(FRAMES_RECORDS)
	mv $@.partial $@

target/bench/ticks.jsonl: PRESET := tick10
target/bench/books.jsonl: PRESET := quote10
# From the open on: before it there are no trades.
$(PUSHES): | build
	mkdir -p $(@D)
	target/release/krx-simulator --write-frames $@.partial --pushes $(PRESET) --start 09:00 --records $(PUSHES_RECORDS)
	mv $@.partial $@

bench: frames ## each stage by itself
	KRX_FRAMES=$(abspath $(FRAMES)) $(CARGO) bench --locked --workspace --bench stages

bench-peers: frames ## beside what people would use instead: the same frames, one run, ratios
	tests/tools/python-env.sh
	tests/bench/peers/run.sh $(abspath $(FRAMES) $(PUSHES))

bench-live: build ## beside Python scripts and bare Rust at the pace of a market: processor, wake-ups, system calls, memory; and latencies
	tests/tools/python-env.sh
	.venv/bin/python tests/bench/peers/live.py

bench-bulk: build ## what a whole day's jobs take: export, archive, verify, rebuild, seal; beside DuckDB
	tests/tools/python-env.sh
	.venv/bin/python tests/bench/bulk.py

bench-daily: build ## a year of daily rows, and minute bars of 100 issues, beside computing them from the trades
	tests/tools/python-env.sh
	tests/bench/daily/run.sh

bench-layout: build ## layouts of a sealed day beside those of pandas and pyarrow: size, and the time of five questions; encodings
	tests/tools/python-env.sh
	tests/bench/layout/run.sh

bench-books: build ## a sealed day of books of 100 issues: size, and one issue's day beside the order of arrival
	tests/tools/python-env.sh
	tests/bench/layout/books.sh

bench-views: build ## bars of 50 issues over 20 days by the view `bars` and by krxdata, beside the plain SQL and pandas
	tests/tools/python-env.sh
	tests/bench/views.sh
