#!/usr/bin/env bash
# The recorder beside its peers: the same frames, one run, one table.
#
#     tests/bench/peers/run.sh TRADES TICKS BOOKS [REPEAT]       three files of frames (`make frames`)
#
# Each program has the machine to itself. The two socket benchmarks are fed by `krx-bench serve`, which has all
# frames ready in memory. Results stay in target/bench: results.jsonl, and the table in results.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."

frames=$1
pushes=("$2" "$3")
repeat=${4:-3}
bench=$PWD/target/release/krx-bench
python=$PWD/.venv/bin/python
peers=$PWD/tests/bench/peers
out=$PWD/target/bench/out
results=$PWD/target/bench/results.jsonl
rm -rf "$out" "$results"
mkdir -p "$out"
cd "$out"

measure() {
    echo "measuring: ${*##*/}" >&2
    "$@" | tee -a "$results" >/dev/null
}

# The programs take turns, so that each has quiet and busy moments of the machine; the report takes the best.
for _ in $(seq "$repeat"); do
    for stage in decode seal; do
        measure "$bench" "$stage" "$frames"
        for peer in json-pandas orjson-pyarrow orjson-pyarrow-plain msgspec-pyarrow duckdb polars; do
            options=(--frames "$frames" --repeat 1)
            if [[ $stage == seal ]]; then options+=(--out "$out/$peer.parquet"); fi
            measure "$python" "$peers/peers.py" "$stage" "$peer" "${options[@]}"
        done
    done
done

for frames_of in "${pushes[@]}"; do
    of=$(basename "$frames_of" .jsonl)
    "$bench" seal "$frames_of" --keep "$out/kept"
    for _ in $(seq "$repeat"); do
        for stage in decode seal; do
            measure "$bench" "$stage" "$frames_of"
            for peer in orjson-pyarrow orjson-pyarrow-plain duckdb; do
                options=(--of "$of" --frames "$frames_of" --repeat 1)
                if [[ $stage == seal ]]; then options+=(--out "$out/$of-$peer.parquet"); fi
                measure "$python" "$peers/peers.py" "$stage" "$peer" "${options[@]}"
            done
        done
    done
    # Frames have another receive time in each of the two.
    for peer in orjson-pyarrow orjson-pyarrow-plain duckdb; do
        "$python" "$peers/peers.py" check "$out/kept/$of" "$out/$of-$peer.parquet" --of "$of" --ignore recv_ts >&2
    done
    rm -rf "$out/kept"
done

"$bench" serve "$frames" >"$out/url" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    [[ -s $out/url ]] && break
    sleep 0.1
done
url=$(<"$out/url")
records=$("$bench" decode "$frames" | "$python" -c 'import json, sys; print(json.load(sys.stdin)["records"])')

script=("$python" "$peers/peers.py")
feed=(--url "$url" --records "$records" --repeat 1)
for _ in $(seq "$repeat"); do
    measure "$bench" journal "$url" "$frames"
    measure "${script[@]}" socket-journal "${feed[@]}" --out "$out/journal"
    measure "$bench" record "$url" "$frames"
    measure "${script[@]}" socket "${feed[@]}" --out "$out/record"
    measure "${script[@]}" socket "${feed[@]}" --out "$out/plain" --plain
done

rm -rf "$out"
"$python" "$peers/report.py" <"$results" | tee "${results%.jsonl}.md"
