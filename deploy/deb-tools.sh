#!/usr/bin/env bash
# Installs cargo-deb, with which `make deb` packs, in the version that the metadata was written for; nothing when it is
# there. It is asked for by version, since what it makes of units and maintainer scripts is in the package.
set -euo pipefail

version=3.8.0
read -ra cargo <<<"${CARGO:-cargo}"
[[ $("${cargo[@]}" deb --version 2>/dev/null) == "cargo-deb $version" ]] || "${cargo[@]}" install --locked "cargo-deb@$version"
command -v dpkg-shlibdeps >/dev/null || {
    echo "deb-tools: dpkg-shlibdeps is missing, which finds the libraries that are needed: apt-get install dpkg-dev" >&2
    exit 69
}
