#!/usr/bin/env bash
# How long it takes to read a year of daily rows, and minute bars of 100 issues over all days, beside computing them from the
# trades. `make build` comes first.
#
#     tests/bench/daily/run.sh
#
# DAYS and RECORDS say how much is recorded (20 trading days of a million records), REPEAT how often each query is measured.
# Everything is below target/bench/daily; days that this build has made already are not made again. RECORDER and BENCH name
# other programs than those of the release build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

days=${DAYS:-20}
records=${RECORDS:-1000000}
repeat=${REPEAT:-5}
recorder=${RECORDER:-target/release/krx-recorder}
bench=${BENCH:-target/release/krx-bench}
until=2026-11-20
out=$PWD/target/bench/daily
data=$out/days-$days-$records

say() {
    echo "bench-daily: $*" >&2
}

stamp=$(cat "$recorder" "$bench" | sha256sum | cut -d ' ' -f 1)
if [[ ! -d $data || ! -f $data.stamp || $(<"$data.stamp") != "$stamp" ]]; then
    say "recording $days days"
    rm -rf "$data"
    mkdir -p "$out"
    "$bench" days "$data" --days "$days" --until "$until" --records "$records" --records-last "$records" \
        --rotate-minutes 60 >&2
    say "sealing them"
    printf 'data_dir = "%s"\n\n[seal]\nbars = "1m"\n' "$data" >"$out/config.toml"
    "$recorder" seal --config "$out/config.toml" >&2
    printf '%s\n' "$stamp" >"$data.stamp"
fi
.venv/bin/python tests/bench/daily/measure.py --year "$out/year" --repeat "$repeat" --json "$out/results.json" "$data" |
    tee "$out/results.md"
