#!/usr/bin/env bash
# What a recorder costs: waiting for a session, at 2,000 records a second, and the same with its status page open.
# Processor time as a part of one core, over SECONDS (30), and resident memory at the end. `make build` comes first.
#
#   tests/tools/measure-cost.sh [SECONDS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-30}
programs=target/release
folder=$(mktemp -d)
children=()
trap 'kill "${children[@]}" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

start() { # NAME COMMAND…: starts it, with its output in a file of that name; its number is in $started
    "${@:2}" >"$folder/$1.log" 2>&1 &
    started=$!
    children+=("$started")
}

recorder() { # NAME PORT, and the schedule as TOML on standard input
    {
        echo "data_dir = \"$folder/$1\""
        printf '[koscom]\nbase_url = "ws://127.0.0.1:%s"\nmember_name = "Measurement"\n' "$port"
        echo '[schedule]'
        cat
        printf '[status]\nlisten = "127.0.0.1:%s"\n' "$2"
    } >"$folder/$1.toml"
    KRX_API_KEY=measurement start "$1" "$programs/krx-recorder" run --config "$folder/$1.toml"
}

cpu_ns() { # of all threads of a process
    awk '{ sum += $1 } END { printf "%d", sum }' /proc/"$1"/task/*/schedstat
}

measure() { # PROCESS WHAT
    local before after
    before=$(cpu_ns "$1")
    sleep "$seconds"
    after=$(cpu_ns "$1")
    awk -v what="$2" -v ns=$((after - before)) -v seconds="$seconds" \
        '/^VmRSS/ { printf "%-44s %6.2f%% of one core  %5.1f MB\n", what, ns / seconds / 1e7, $2 * 1024 / 1e6 }' \
        "/proc/$1/status"
}

poll() { # PORT: asks as the page does
    while sleep 2; do curl -s -o /dev/null "http://127.0.0.1:$1/status.json"; done
}

start simulator "$programs/krx-simulator" --listen 127.0.0.1:0 --json --rate 2000 --repeat
until port=$(grep -o '"port":[0-9]*' "$folder/simulator.log" | cut -d: -f2) && [[ $port ]]; do sleep 0.1; done

# A minute of the other half of the day in Korea: closed for as long as this takes.
if (($(TZ=UTC-9 date +%-H) < 12)); then open=23:00 close=23:01; else open=00:00 close=00:01; fi
recorder idle 9471 <<<"mode = \"calendar\"
open = \"$open\"
close = \"$close\""
idle=$started
sleep 3
measure "$idle" "waiting for a session"
start poll_idle poll 9471
measure "$idle" "the same, its page open"
kill "$started" "$idle"

recorder busy 9472 <<<'mode = "always"'
busy=$started
sleep 10
measure "$busy" "2,000 records/s"
start poll_busy poll 9472
measure "$busy" "the same, its page open"
