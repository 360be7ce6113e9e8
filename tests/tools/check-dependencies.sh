#!/usr/bin/env bash
# Audits the dependencies with cargo-deny, by deny.toml: those of the workspace, and those of fuzz.
#
# Licences, bans and sources always; known vulnerabilities when cargo-deny has a database of them on this machine,
# which `cargo deny fetch` brings. What could not be checked is said, and is no failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

read -ra cargo <<<"${CARGO:-cargo}"
"${cargo[@]}" deny --version >/dev/null 2>&1 || {
    echo "cargo-deny is not installed: dependencies not checked (cargo install --locked cargo-deny)"
    exit 0
}

checks=(licenses bans sources)
databases=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
if compgen -G "$databases/advisory-db-*" >/dev/null; then
    checks+=(advisories)
else
    echo "no advisory database in $databases: known vulnerabilities not checked (cargo deny fetch)"
fi

# deny.toml serves both, so each has some of its entries unused.
check() { # MANIFEST, a lint that is expected of it
    # cargo-deny looks at the crates of all systems before it leaves any out, and offline it downloads none of them.
    local failure
    failure=$("${cargo[@]}" fetch --quiet --locked --manifest-path "$1" 2>&1) || {
        echo "$failure" >&2
        # A lock file that is out of date is our own fault; that there is no network is not.
        [[ $failure != *--locked* ]] || return 1
        echo "$1: dependencies not checked, since they cannot be downloaded"
        return 0
    }
    echo "$1: ${checks[*]}"
    "${cargo[@]}" deny --offline --locked --config deny.toml --manifest-path "$1" \
        check --hide-inclusion-graph --allow "$2" "${checks[@]}"
}
check Cargo.toml license-exception-not-encountered
check tests/fuzz/Cargo.toml license-not-encountered
