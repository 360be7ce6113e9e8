#!/usr/bin/env bash
# Installs the tools that `make test-faults` uses beside the project's own, from Debian's packages. Needs root.
#
# Each part of the fault tests that misses a tool says so and is skipped, so none of them is needed for `make test`.
set -euo pipefail

packages=(strace xfsprogs e2fsprogs faketime nftables iproute2 util-linux)

command -v apt-get >/dev/null || {
    echo "fault-tools: this is no Debian; install what these packages have: ${packages[*]}" >&2
    exit 69
}
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
