#!/usr/bin/env bash
# Layouts of a sealed day beside those that people would choose: the same records, one run, ratios.
#
#     tests/bench/layout/run.sh [ROUNDS]       ROUNDS as in layouts.py; "orders" by default
#
# DAYS, RECORDS and RECORDS_LAST say how much: by default 20 trading days of a million records, the last of 12 million.
# Everything is made below target/bench/layout; days that this build has made already are not made again. Results stay there:
# results.json, and the table in results.md; encodings.md has what each encoding of a column takes, and which of the readers
# that tests/tools/old-readers.sh has installed can read it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

rounds=${1:-orders}
days=${DAYS:-20}
records=${RECORDS:-1000000}
records_last=${RECORDS_LAST:-12000000}
repeat=${REPEAT:-5}
until=2026-11-20
out=$PWD/target/bench/layout
data=$out/days-$days-$records-$records_last

say() {
    echo "bench-layout: $*" >&2
}

# The days are of this build's writer, and what is laid out anew is as layouts.py has it.
stamp=$(cat target/release/krx-bench tests/bench/layout/layouts.py | sha256sum | cut -d ' ' -f 1)
if [[ ! -d $data || ! -f $data.stamp || $(<"$data.stamp") != "$stamp" ]]; then
    say "recording $days days"
    rm -rf "$data" "$data.partial" "$data-laid-out"
    target/release/krx-bench days "$data.partial" --days "$days" --until "$until" --records "$records" \
        --records-last "$records_last" --rotate-minutes 60 >&2
    mv "$data.partial" "$data"
    printf '%s\n' "$stamp" >"$data.stamp"
fi
# Anew each time, since it is the writer of this build that is measured.
say "sealing them with krx-recorder"
sealed=$out/sealed
rm -rf "$sealed"
cp -r "$data" "$sealed"
for date in "$sealed"/trades/date=*; do
    target/release/krx-recorder seal "${date##*=}" --data-dir "$sealed" >&2
done
.venv/bin/python tests/bench/layout/measure.py "$data" --work "$data-laid-out" --rounds "$rounds" --repeat "$repeat" \
    --sealed "krx-recorder seal=$sealed" --sealed "while recording=$data" --json "$out/results.json" | tee "$out/results.md"
.venv/bin/python tests/bench/layout/encodings.py "$data" --work "$out/encodings" | tee "$out/encodings.md"
