#!/usr/bin/env bash
# Runs the tests of krxdata's converters with the real packages, each in an environment of its own, since they want different
# versions of pandas and numpy: target/converters. `make build` comes first. PYTHON names another interpreter than python3; each
# package says which it takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

for package in nautilus_trader hftbacktest; do
    environment=$PWD/target/converters/$package
    requirements=tests/readers/converters/$package.txt
    if [[ ! $environment/.stamp -nt $requirements ]]; then
        "${PYTHON:-python3}" -m venv --clear "$environment"
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
            --requirement "$requirements"
        touch "$environment/.stamp"
    fi
    echo "converter-tests: $package"
    # The package must be there: a test that is skipped proves nothing.
    "$environment/bin/python" -c "import $package"
    "$environment/bin/python" -m pytest -q tests/readers/test_converters.py
done
