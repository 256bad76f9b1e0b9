#!/usr/bin/env bash
# Prints the path of an exim4 binary for the tests: unpack_exim.sh DIR
#
# A test wants the program, not a mail service: where none is installed, Debian's package is unpacked
# into DIR, so that nothing starts, and a Postfix that is installed stays. Debian's configuration,
# as exim4-config brings it, is unpacked into DIR in either case (DIR/etc/exim4, DIR/usr/sbin).
set -euo pipefail
dir=$1
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if [ ! -e "$dir/etc/exim4/exim4.conf.template" ]; then
  mkdir -p "$dir"
  (
    cd "$dir"
    # shellcheck disable=SC2012
    ls exim4-config_*.deb >/dev/null 2>&1 || {
      "${as_root[@]}" apt-get update -qq
      apt-get download -q exim4-config >&2
    }
    dpkg -x exim4-config_*.deb .
  )
fi
installed=$(command -v exim4 || ls /usr/sbin/exim4 2>/dev/null || true)
if [ -n "$installed" ]; then
  echo "$installed"
  exit 0
fi
binary=$dir/usr/sbin/exim4
if [ ! -x "$binary" ]; then
  mkdir -p "$dir"
  (
    cd "$dir"
    # shellcheck disable=SC2012
    ls exim4-daemon-light_*.deb >/dev/null 2>&1 || {
      "${as_root[@]}" apt-get update -qq
      apt-get download -q exim4-daemon-light >&2
    }
    libraries=$(dpkg-deb -f exim4-daemon-light_*.deb Depends |
      tr ',' '\n' | sed -E 's/^ *([a-z0-9.+-]+).*/\1/' | grep '^lib' | sort -u)
    # shellcheck disable=SC2086
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends $libraries >&2
    dpkg -x exim4-daemon-light_*.deb .
  )
fi
# Exim's built-in user; without it the program does not run.
getent passwd Debian-exim >/dev/null || {
  "${as_root[@]}" useradd --system --user-group --home-dir /var/spool/exim4 --no-create-home \
    --shell /usr/sbin/nologin Debian-exim >&2
}
echo "$binary"
