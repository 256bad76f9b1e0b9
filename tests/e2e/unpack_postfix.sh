#!/usr/bin/env bash
# Unpacks Debian's Postfix for the tests and prints where: unpack_postfix.sh DIR
#
# As unpack_exim.sh: the programs, not a mail service. What runs is a private instance of the tests.
set -euo pipefail
dir=$1
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if [ ! -x "$dir/usr/lib/postfix/sbin/master" ]; then
  mkdir -p "$dir"
  (
    cd "$dir"
    # shellcheck disable=SC2012
    ls postfix_*.deb >/dev/null 2>&1 || {
      "${as_root[@]}" apt-get update -qq
      apt-get download -q postfix >&2
    }
    libraries=$(dpkg-deb -f postfix_*.deb Depends |
      tr ',' '\n' | sed -E 's/^ *([a-z0-9.+-]+).*/\1/' | grep '^lib' | sort -u)
    # shellcheck disable=SC2086
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends $libraries >&2
    dpkg -x postfix_*.deb .
  )
fi
# Who its programs run as; without them it does not start.
getent group postdrop >/dev/null || "${as_root[@]}" groupadd --system postdrop >&2
getent passwd postfix >/dev/null || "${as_root[@]}" useradd --system --user-group \
  --home-dir /var/spool/postfix --no-create-home --shell /usr/sbin/nologin postfix >&2
echo "$dir"
