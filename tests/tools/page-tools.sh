#!/usr/bin/env bash
# Installs what looks at the status from outside, from Debian's packages, where it is missing: promtool, which checks
# metrics, alert rules and their tests, and Chromium with Node.js, which `make test-page` opens the page with.
# Needs root.
#
# Without promtool its tests say so and are skipped, and `make test` needs none of the others.
set -euo pipefail

packages=()
command -v promtool >/dev/null || packages+=(prometheus)
command -v chromium >/dev/null || packages+=(chromium)
# A font with all signs of the page: without one the screenshots show boxes.
[[ $(fc-list 2>/dev/null) == *DejaVu* ]] || packages+=(fonts-dejavu-core)
command -v npm >/dev/null || packages+=(nodejs npm)
((${#packages[@]})) || exit 0

command -v apt-get >/dev/null || {
    echo "page-tools: this is no Debian; install what these packages have: ${packages[*]}" >&2
    exit 69
}
apt-get update -qq
# The package starts a Prometheus of its own where a policy does not forbid it: here only its tool is wanted.
if [[ " ${packages[*]} " == *" prometheus "* && ! -e /usr/sbin/policy-rc.d ]]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
