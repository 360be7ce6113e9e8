#!/usr/bin/env bash
# Installs each wheel of target/wheels into an empty environment, and runs the tests of krxdata and docs/python.md there. `make wheel`
# comes first. PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

requirements=tests/readers/requirements.txt
pip() { # ENVIRONMENT, arguments of `pip install`
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "${@:2}"
}

for wheel in target/wheels/krxdata-*.whl; do
    environment=$PWD/target/wheels/environment
    "${PYTHON:-python3}" -m venv --clear "$environment"
    echo "wheel-tests: $(basename "$wheel")"
    # With DuckDB and pyarrow, and nothing else.
    pip "$environment" --constraint "$requirements" "$wheel"
    (cd / && "$environment/bin/python" -c '
import krxdata, tempfile, pathlib
directory = pathlib.Path(tempfile.mkdtemp())
(directory / ".krx").mkdir()
assert krxdata.open(directory).trades().to_arrow_table().num_rows == 0
')
    tests=(tests/readers/test_krxdata_document.py)
    if [[ -x $environment/bin/krx-recorder ]]; then
        "$environment/bin/krx-recorder" --version
        tests+=(tests/readers/test_krxdata.py -k "document or live or followed or asked or crash")
    fi
    pip "$environment" --requirement "$requirements" --requirement crates/krx-python/mypy.txt
    KRXDATA=installed "$environment/bin/python" -m pytest -q -n 2 --dist loadfile "${tests[@]}"
    # The package as its users' type checkers see it, and the document's examples.
    "$environment/bin/python" -c '
import sys
sys.path.insert(0, "tests/readers")
import document, pathlib
blocks = document.blocks(pathlib.Path("docs/python.md"))
print("".join(block.text for block in blocks if block.language == "python"))
' >target/wheels/examples.py
    "$environment/bin/python" -m mypy --config-file crates/krx-python/pyproject.toml --cache-dir target/wheels/.mypy -p krxdata
    "$environment/bin/python" -m mypy --config-file crates/krx-python/pyproject.toml --cache-dir target/wheels/.mypy target/wheels/examples.py
done
rm -rf target/wheels/environment
