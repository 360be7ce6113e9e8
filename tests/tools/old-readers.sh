#!/usr/bin/env bash
# Makes an environment below target/old-readers for each set of older readers (tests/readers/old/sets.txt), and lets all of
# them read what is recorded.
#
#     tests/tools/old-readers.sh [all | ci | NAME …]      "all" by default; "ci" those that CI installs
#
# Old wheels are for old Pythons: it takes python3.11, or what OLD_PYTHON names. An environment whose stamp has the same
# packages and interpreter is not made again. Sets that need Java are skipped where there is none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

sets=tests/readers/old/sets.txt
out=target/old-readers

say() {
    echo "old-readers: $*" >&2
}

python=${OLD_PYTHON:-python3.11}
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
    say "needs Python 3.11, for which all of them have wheels: install it, or name it in OLD_PYTHON"
    exit 69
fi

wanted=("${@:-all}")
has() {
    local name=$1 in_ci=$2 one
    for one in "${wanted[@]}"; do
        if [[ $one == all || $one == "$name" || ($one == ci && $in_ci == ci) ]]; then
            return 0
        fi
    done
    return 1
}

install() {
    local dir=$out/$1
    shift
    local stamp
    stamp=$({ "$python" --version; echo "$*"; } | sha256sum | cut -d ' ' -f 1)
    if [[ -x $dir/bin/python && -f $dir/.stamp && $(<"$dir/.stamp") == "$stamp" ]]; then
        return
    fi
    say "installing $*"
    "$python" -m venv --clear "$dir"
    # There is no wheel of pyspark, which is plain Python and Java.
    "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-binary pyspark "$@"
    echo "$stamp" >"$dir/.stamp"
}

chosen=()
while read -r name readers in_ci packages; do
    if [[ $name == '#'* || -z $name ]] || ! has "$name" "$in_ci"; then
        continue
    fi
    if [[ $readers == spark ]] && ! command -v java >/dev/null; then
        say "$name is skipped: there is no Java"
        continue
    fi
    # Words of the list.
    # shellcheck disable=SC2086
    install "$name" $packages
    chosen+=("$name")
done <"$sets"
if [[ ${#chosen[@]} == 0 ]]; then
    say "no set is named ${wanted[*]}; they are in $sets"
    exit 64
fi
KRX_OLD_READERS="${chosen[*]}" .venv/bin/python -m pytest -v --no-header --durations=5 tests/readers/old
