#!/usr/bin/env bash
# Looks at the systemd units: whether systemd understands all of them, how much of the machine the service leaves open
# to itself, and when the timer elapses. What cannot be looked at here is said, and is no failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# By `systemd-analyze security`, in tenths: from 0, a service that can do nothing, to 100. Three of these are for one
# permission, to ask the kernel about its clock (docs/adr/0048).
exposure_max=14

command -v systemd-analyze >/dev/null || {
    echo "systemd-analyze is not installed: units not checked"
    exit 0
}
folder=$(mktemp --directory)
trap 'rm -r "$folder"' EXIT
# systemd looks whether the program is there. It need not be installed here.
sed 's|/usr/bin/krx-recorder |/bin/true |' deploy/systemd/krx-recorder.service >"$folder/krx-recorder.service"
cp deploy/systemd/krx-recorder.timer "$folder/"

findings=$(systemd-analyze verify --man=no "$folder"/krx-recorder.{service,timer} 2>&1) || {
    echo "$findings" >&2
    exit 1
}
# What it does not understand it ignores, and says so without failing. It may have more to say of the machine's units.
! grep "$folder\|krx-recorder" <<<"$findings" >&2 || exit 1

version=$(systemd-analyze --version | head -1)
if systemd-analyze security --help 2>&1 | grep -q -- --offline; then
    report=$(systemd-analyze security --no-pager --offline=true --threshold=$exposure_max "$folder/krx-recorder.service") || {
        grep -v '^✓' <<<"$report" >&2
        echo "check-units: the exposure is above $((exposure_max / 10)).$((exposure_max % 10))" >&2
        exit 1
    }
    echo "units: $version; ${report##*→ }"
else
    echo "units: $version, which cannot tell the exposure of a file"
fi
