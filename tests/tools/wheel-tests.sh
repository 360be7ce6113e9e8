#!/usr/bin/env bash
# Installs each wheel of target/wheels into an empty environment, and runs the tests of krxdata and docs/python.md there: the wheel with
# the program beside the newest DuckDB, pandas and so on, the other one, on Python 3.11, beside the oldest that it takes. `make wheel`
# comes first. PYTHON names another interpreter than python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${PYTHON:-python3}
pip() { # ENVIRONMENT, arguments of `pip install`
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "${@:2}"
}

environment=$PWD/target/wheels/environment
for wheel in target/wheels/krxdata-*.whl; do
    requirements=tests/readers/requirements.txt
    tests=(tests/readers/test_krxdata.py tests/readers/test_krxdata_document.py tests/readers/test_krxdata_plot.py)
    if [[ $wheel == *-none-any.whl ]] && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        requirements=crates/krx-python/oldest.txt
    elif [[ $wheel == *-none-any.whl ]]; then
        tests=(tests/readers/test_krxdata_document.py)
    else
        # The rest is tested from the source (`make test-readers`).
        tests=(tests/readers/test_krxdata.py tests/readers/test_krxdata_document.py -k "document or live or followed or asked or crash or killed")
    fi
    echo "wheel-tests: $(basename "$wheel") with $requirements"
    "$python" -m venv --clear "$environment"
    # With DuckDB and pyarrow, and nothing else.
    pip "$environment" --constraint "$requirements" "$wheel" "numpy$([[ $requirements == *oldest* ]] && echo '<2' || true)"
    (cd / && "$environment/bin/python" -c '
import krxdata, tempfile, pathlib
directory = pathlib.Path(tempfile.mkdtemp())
(directory / ".krx").mkdir()
assert krxdata.open(directory).trades().to_arrow_table().num_rows == 0
')
    if [[ $wheel != *-none-any.whl ]]; then
        "$environment/bin/krx-recorder" --version
    fi
    pip "$environment" --requirement "$requirements"
    KRXDATA=installed "$environment/bin/python" -m pytest -q -n 2 --dist loadfile "${tests[@]}"
done

# The last one is beside the newest versions: the package as its users' type checkers see it, and the document's examples.
pip "$environment" --requirement crates/krx-python/mypy.txt
"$environment/bin/python" -c '
import sys
sys.path.insert(0, "tests/readers")
import document, pathlib
blocks = document.blocks(pathlib.Path("docs/python.md"))
print("".join(block.text for block in blocks if block.language == "python"))
' >target/wheels/examples.py
for what in "-p krxdata" target/wheels/examples.py; do
    # shellcheck disable=SC2086
    "$environment/bin/python" -m mypy --config-file crates/krx-python/pyproject.toml --cache-dir target/wheels/.mypy $what
done
rm -rf "$environment"
