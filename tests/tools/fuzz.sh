#!/usr/bin/env bash
# Looks for inputs that break the decoders, the classifier, the conversations, the journal's scanner or the file names:
#
#   tests/tools/fuzz.sh [SECONDS] [TARGET…]      60 seconds for each of all targets, unless told otherwise
#
# Needs cargo-fuzz (cargo install cargo-fuzz) and a nightly toolchain, or else a stable one that is told to be one.
# It starts from tests/fuzz/seeds, which are in the repository, and from what earlier runs have found, in target/fuzz.
# It ends with the number of executions of each target, and with 1 when there was a finding.
#
# The targets of krx-store run without the address sanitizer: with it, arrow and parquet take very long to build, and
# the scanner and the names are safe Rust. The decoders have it, for the sake of simd-json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-60}
targets=("${@:2}")
(($# > 1)) || targets=(decoder per_issue classifier conversation file_names journal_scanner)
[[ $seconds =~ ^[0-9]+$ ]] || {
    echo "fuzz: '$seconds' is no number of seconds; usage: tests/tools/fuzz.sh [SECONDS] [TARGET…]" >&2
    exit 64
}
cargo fuzz --version >/dev/null 2>&1 || {
    echo "fuzz: cargo-fuzz is not installed: cargo install cargo-fuzz" >&2
    exit 69
}
nightly=$(rustup toolchain list 2>/dev/null | grep -m 1 -o '^nightly[^ ]*' || true)
if [[ -n $nightly ]]; then
    export RUSTUP_TOOLCHAIN=$nightly
else
    export RUSTC_BOOTSTRAP=1
fi

# A single input that takes longer than this is a finding: a message is decoded in microseconds.
timeout_seconds=10

report=""
findings=0
for target in "${targets[@]}"; do
    options=(--sanitizer address)
    dictionary=tests/fuzz/dictionaries/json.dict
    case $target in
        file_names) dictionary=tests/fuzz/dictionaries/names.dict ;;&
        journal_scanner) dictionary=tests/fuzz/dictionaries/journal.dict ;;&
        file_names | journal_scanner) options=(--sanitizer none --features store) ;;
    esac
    mkdir -p "target/fuzz/corpus/$target" "target/fuzz/artifacts/$target"
    log=target/fuzz/$target.log
    outcome="no finding"
    cargo fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz/build "${options[@]}" "$target" \
        "target/fuzz/corpus/$target" "tests/fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout="$timeout_seconds" -print_final_stats=1 -dict="$dictionary" \
        -artifact_prefix="target/fuzz/artifacts/$target/" 2>&1 | tee "$log" || {
        outcome="FAILED, see $log and target/fuzz/artifacts/$target"
        findings=1
    }
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    report+=$(printf '%-16s %5s s %12s executions  %s' "$target" "$seconds" "${executions:-no}" "$outcome")$'\n'
done
printf '\n%s' "$report"
exit "$findings"
