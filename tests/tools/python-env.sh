#!/usr/bin/env bash
# Makes the Python environment of the reader tests and the benchmarks' peers: .venv in the project's root.
#
# Needs Python 3.10 to 3.14 with its venv module: the requirements have wheels for these. A stamp holds the
# checksum of the requirements and the interpreter's version, so a second call does nothing; PYTHON names another
# interpreter than python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${PYTHON:-python3}
requirements=(tests/readers/requirements.txt tests/bench/peers/requirements.txt)
stamp=.venv/.stamp

"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' || {
    echo "python-env: $python is not Python 3.10 to 3.14: install one, or name one in PYTHON" >&2
    exit 69
}
wanted=$({ "$python" --version; cat "${requirements[@]}"; } | sha256sum | cut -d ' ' -f 1)

if [[ -f $stamp && $(<"$stamp") == "$wanted" && -x .venv/bin/python ]]; then
    exit 0
fi

"$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    --requirement tests/bench/peers/requirements.txt
printf '%s\n' "$wanted" >"$stamp"
