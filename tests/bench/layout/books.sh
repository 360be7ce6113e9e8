#!/usr/bin/env bash
# A day of ten-level books of 100 issues: bytes of a book while recording and sealed, and how long one issue's day takes to read
# from the sealed day and from the order of arrival. `make build` comes first.
#
#     tests/bench/layout/books.sh
#
# TRADES says how much the simulated market trades on that day (4,000,000: 3.4 million books, for which the journal needs 4.5 GB
# meanwhile), REPEAT how often each reading is measured. Everything is below target/bench/books; the day is recorded anew only
# if the programs have changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

trades=${TRADES:-4000000}
repeat=${REPEAT:-7}
date=2026-11-20
out=$PWD/target/bench/books
recorded=$out/recorded-$trades
sealed=$out/sealed

say() {
    echo "bench-books: $*" >&2
}

stamp=$(sha256sum <target/release/krx-bench | cut -d ' ' -f 1)
if [[ ! -d $recorded || ! -f $recorded.stamp || $(<"$recorded.stamp") != "$stamp" ]]; then
    say "recording a day of $trades trades"
    rm -rf "$out"
    target/release/krx-bench days "$recorded" --days 1 --until "$date" --records-last "$trades" --pushes tick10,quote10 >&2
    printf '%s\n' "$stamp" >"$recorded.stamp"
fi
# Anew each time, since it is the writer of this build that is measured.
say "sealing it"
rm -rf "$sealed"
cp -r "$recorded" "$sealed"
target/release/krx-recorder seal "$date" --data-dir "$sealed" >&2
.venv/bin/python tests/bench/layout/books.py --work "$out/laid-out" --repeat "$repeat" --json "$out/results.json" \
    "$recorded" "$sealed" | tee "$out/results.md"
