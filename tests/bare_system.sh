#!/usr/bin/env bash
# Proves on a bare Debian 12, in a folder of its own, that the packages deferd names are enough:
#   tests/bare_system.sh            configures as the manual says (install.md); that the tests' packages
#                                   are enough shows each run of CI, on a new machine
#   tests/bare_system.sh COMMAND    runs COMMAND in the clone instead, such as deploy/quickstart.sh --demo --once
# Needs root, mmdebstrap and Debian's package archive. It takes what is committed (HEAD).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
command -v mmdebstrap >/dev/null || {
  echo "mmdebstrap is missing: apt-get install mmdebstrap" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git -C "$root" archive --prefix=deferd/ -o "$work/deferd.tar" HEAD

if [ $# -gt 0 ]; then
  command=$(printf ' %q' "$@")
else
  command='deploy/install-packages.sh build
    cmake -S . -B build -G Ninja'
fi
# A new machine has no sudo, no compiler and no GoogleTest; only the archive's certificates are added.
printf 'set -e; cd /deferd; export LC_ALL=C.UTF-8\n%s\n' "$command" >"$work/in_the_bare_system"
mmdebstrap --quiet --variant=minbase --include=ca-certificates \
  --customize-hook="tar-in '$work/deferd.tar' /" \
  --customize-hook="copy-in '$work/in_the_bare_system' /" \
  --customize-hook='chroot "$1" bash /in_the_bare_system' \
  bookworm /dev/null
echo "bare system: passed"
