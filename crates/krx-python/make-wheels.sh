#!/usr/bin/env bash
# Builds the wheels of krxdata into target/wheels: one for this platform, which has the program krx-recorder in it, and one for
# any, without it.
#
# `make build` comes first. Needs Python 3.10 or newer with its venv module; the tools are installed into target/wheels/.tools.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=$PWD/target/wheels tools=$PWD/target/wheels/.tools
mkdir -p "$out"
if [[ ! -f $tools/.stamp || ! $tools/.stamp -nt crates/krx-python/tools.txt ]]; then
    "${PYTHON:-python3}" -m venv --clear "$tools"
    "$tools/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
        --requirement crates/krx-python/tools.txt
    touch "$tools/.stamp"
fi
rm -rf "$out"/krxdata-*.whl "$out/unpacked"
# With the features of tokio that the whole workspace asks for, the wheel holds the very program that `make build` made and the
# tests tried, and cargo has nothing to build.
program=target/release/krx-recorder
tested=$(sha256sum "$program")
(cd crates/krx-python && "$tools/bin/maturin" build --release --out "$out" \
    --features tokio/rt-multi-thread,tokio/signal,tokio/test-util)
if [[ $(sha256sum "$program") != "$tested" ]]; then
    echo "make-wheels: cargo built $program again for the wheel, so no test has tried it: name in $0 the features with" \
        "which \`make build\` builds it (\`cargo tree -e features\`)" >&2
    exit 1
fi
"$tools/bin/wheel" unpack "$out"/krxdata-*.whl --dest "$out/unpacked"
rm "$out"/krxdata-*.whl
content=("$out"/unpacked/krxdata-*)

# Line numbers are two thirds of it; a wheel is installed by people who do not debug the recorder.
strip "$content"/krxdata-*.data/scripts/krx-recorder
"$tools/bin/wheel" pack "$content" --dest-dir "$out"

# Without the program nothing in it depends on the platform.
rm -r "$content"/krxdata-*.data "$content"/krxdata-*.dist-info/sboms
description=$(echo "$content"/krxdata-*.dist-info/WHEEL)
sed -e 's/^Root-Is-Purelib: .*/Root-Is-Purelib: true/' -e 's/^Tag: .*/Tag: py3-none-any/' "$description" >"$out/unpacked/WHEEL"
mv "$out/unpacked/WHEEL" "$description"
"$tools/bin/wheel" pack "$content" --dest-dir "$out"
rm -r "$out/unpacked"
