#!/usr/bin/env bash
# Bars by the view `bars` beside the plain SQL of docs/reading-the-data.md: 50 issues, one minute, 20 days in one call.
# `make build` comes first.
#
#     tests/bench/views.sh
#
# RECORDS says how many trades each day has (4,000,000), REPEAT how often each query is measured. Everything is below
# target/bench/views; the days are made anew only if the programs have changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

records=${RECORDS:-4000000}
repeat=${REPEAT:-7}
out=$PWD/target/bench/views
data=$out/days-$records

say() {
    echo "bench-views: $*" >&2
}

stamp=$(cat target/release/krx-bench target/release/krx-recorder | sha256sum | cut -d ' ' -f 1)
if [[ ! -d $data || ! -f $data.stamp || $(<"$data.stamp") != "$stamp" ]]; then
    say "recording 20 days of $records trades"
    rm -rf "$out"
    target/release/krx-bench days "$data" --days 20 --until 2026-11-20 --records "$records" --records-last "$records" \
        --rotate-minutes 60 >&2
    say "sealing them"
    for date in "$data"/trades/date=*; do
        target/release/krx-recorder seal "${date##*=}" --data-dir "$data" >&2
    done
    printf '%s\n' "$stamp" >"$data.stamp"
fi
.venv/bin/python tests/bench/views.py "$data" --repeat "$repeat" --json "$out/results.json" | tee "$out/results.md"
