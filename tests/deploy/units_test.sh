#!/usr/bin/env bash
# The shipped systemd units: well-formed, hardened, and a unit that is opened up is noticed.
#   tests/deploy/units_test.sh
set -euo pipefail
units=$(cd "$(dirname "$0")/../../deploy/systemd" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# below UNIT EXPOSURE: whether systemd-analyze's exposure is below it, in tenths.
below() {
  local tenths
  tenths=$(systemd-analyze security --offline=true --no-pager "$1" |
    sed -nE 's/^→ Overall exposure level for [^:]+: ([0-9]+)\.([0-9]).*/\1\2/p')
  echo "$(basename "$1"): exposure $((10#$tenths / 10)).$((10#$tenths % 10)), allowed below $(($2 / 10)).$(($2 % 10))"
  [ "$((10#$tenths))" -lt "$2" ]
}
below "$units/deferd.service" 20
below "$units/deferd-queue.service" 35
below "$units/deferd-notify.service" 35
grep -vE '^(CapabilityBoundingSet|NoNewPrivileges|ProtectSystem)=' "$units/deferd.service" >"$work/deferd.service"
if below "$work/deferd.service" 20; then
  echo "a unit with all capabilities passes" >&2
  exit 1
fi

# systemd-analyze verify wants the programs, so it gets a tree with them.
mkdir -p "$work/root/usr/sbin" "$work/root/bin" "$work/root/etc/systemd/system"
cp "$units"/*.service "$units"/*.socket "$work/root/etc/systemd/system"
for program in usr/sbin/deferd usr/sbin/deferd-queue usr/sbin/deferd-notify bin/kill; do
  printf '#!/bin/sh\n' >"$work/root/$program"
  chmod +x "$work/root/$program"
done
# What other packages bring is not there; the rest has to be silent.
systemd-analyze verify --root="$work/root" --man=no deferd.service deferd-queue.service \
  deferd-notify.service \
  deferd-exim.socket deferd-postfix.socket 2>&1 |
  grep -vE 'sysinit.target|basic.target|shutdown.target|sockets.target|Failed to (add dependency|load unit)|not found' \
    >"$work/said" || true
if grep -E '(deferd[a-z-]*\.(service|socket):|Unknown|ignoring)' "$work/said"; then exit 1; fi
echo "units: passed"
