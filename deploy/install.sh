#!/usr/bin/env bash
# Installs what `make build` has built, as the Debian package lays it out, below $DESTDIR$PREFIX; the configuration below
# $DESTDIR$SYSCONFDIR, where it is not there already. It starts nothing, and says what is left to do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

prefix=${PREFIX:-/usr/local}
etc=${SYSCONFDIR:-/etc}
destination=${DESTDIR:-}
documents=$prefix/share/doc/krx-recorder

[[ -x target/release/krx-recorder ]] || {
    echo "install: target/release/krx-recorder is not built yet: make build" >&2
    exit 69
}

put() { # MODE FILE PATH
    install -D --mode "$1" "$2" "$destination$3"
}
# The files name /usr/bin and /etc, as the package has them.
put_adapted() { # FILE PATH
    sed "s|/usr/bin/krx-recorder|$prefix/bin/krx-recorder|; s|/usr/share/doc/krx-recorder|$documents|; s|/etc/|$etc/|g" "$1" |
        install -D --mode 644 /dev/stdin "$destination$2"
}
put_once() { # MODE FILE PATH
    [[ -e $destination$3 ]] || put "$@"
}

install -D --strip --mode 755 target/release/krx-recorder "$destination$prefix/bin/krx-recorder"
for unit in deploy/systemd/*; do
    put_adapted "$unit" "$prefix/lib/systemd/system/${unit##*/}"
done
put_adapted deploy/sysusers.d/krx-recorder.conf "$prefix/lib/sysusers.d/krx-recorder.conf"
put_adapted deploy/tmpfiles.d/krx-recorder.conf "$prefix/lib/tmpfiles.d/krx-recorder.conf"
put_adapted deploy/cron/krx-recorder "$documents/examples/cron"
put 644 deploy/krx-recorder.example.toml "$documents/examples/krx-recorder.toml"
put 644 deploy/calendar.example.toml "$documents/examples/calendar.toml"
put 644 deploy/krx.sql "$documents/examples/krx.sql"
put 644 deploy/prometheus/krx-recorder.rules.yml "$documents/examples/krx-recorder.rules.yml"
put 644 deploy/grafana/krx-recorder.json "$documents/examples/grafana.json"
for document in README.md README.ko.md CHANGELOG.md docs/{getting-started,reference,runbook,reading-the-data,protocol}.md; do
    put 644 "$document" "$documents/${document##*/}"
done
put_once 640 deploy/krx-recorder.example.toml "$etc/krx-recorder/krx-recorder.toml"
put_once 644 deploy/default/krx-recorder "$etc/default/krx-recorder"

cat <<EOT
Installed below $destination$prefix. As root, where systemd is:

  systemd-sysusers && systemd-tmpfiles --create krx-recorder.conf && systemctl daemon-reload

The next steps are in $documents/getting-started.md, "Install".
EOT
