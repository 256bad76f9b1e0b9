#!/usr/bin/env bash
# Builds the packages out of a build directory's programs, and takes them through an operator's first day
# in a bare Debian 12 with a real Exim and a real Postfix (package_scenario.py).
#   tests/deploy/package_test.sh BUILD_DIR
# Needs root, mmdebstrap, debhelper, lintian and Debian's package archive. The mail runs in a network
# namespace of its own, on its own port 25.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?usage: package_test.sh BUILD_DIR}" && pwd)
# Without a network of its own, the mail servers would take this machine's port 25.
if ! unshare --net true 2>/dev/null; then
  echo "packages: NOT TRIED: no network namespaces here"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"

echo "packages"
mkdir -p "$work/debs" "$work/test"
"$root/deploy/package.sh" --prebuilt "$build" --output "$work/debs/old" --revision 0.2.0
"$root/deploy/package.sh" --prebuilt "$build" --output "$work/debs/new" --revision 0.2.1
lintian --allow-root --fail-on error,warning "$work"/debs/new/*.changes
cp "$root/tests/deploy/package_scenario.py" "$root/tests/e2e/smtp_sink.py" "$root"/deploy/container/* "$work/test"
depends=$(dpkg-deb -f "$work"/debs/new/deferd_*.deb Depends | tr ',' '\n' | sed -E 's/^ *([a-z0-9.+-]+).*/\1/' | sort -u)

# With the network: what the packages depend on, and Postfix for later.
cat >"$work/prepare" <<TEXT
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get install -y -q --no-install-recommends redis-server $(echo "$depends" | tr '\n' ' ')
apt-get clean  # of what the bare system was made of, Exim too
apt-get install -y -q --no-install-recommends --download-only postfix
mkdir /postfix && cp /var/cache/apt/archives/*.deb /postfix
cp -a /etc/exim4 /exim4-of-debian
TEXT
# Without: each day starts from Debian's own configuration.
cat >"$work/days" <<'TEXT'
set -e
ip link set lo up
cd /test
for layout in split single plain; do
  rm -rf /etc/exim4 && cp -a /exim4-of-debian /etc/exim4
  python3 -u package_scenario.py exim "$layout"
done
export DEBIAN_FRONTEND=noninteractive
dpkg --purge --force-depends exim4-daemon-light exim4-base exim4-config >/dev/null 2>&1
dpkg -i /postfix/*.deb >/postfix/log 2>&1 || cat /postfix/log
python3 -u package_scenario.py postfix
python3 -u package_scenario.py container
TEXT
echo "bare system"
# Not as the namespace's first process: Exim's daemon stays in the foreground below init.
mmdebstrap --quiet --variant=minbase --include=ca-certificates,exim4-daemon-light,iproute2,python3 \
  --customize-hook="copy-in '$work/debs' '$work/test' '$work/prepare' '$work/days' /" \
  --customize-hook='chroot "$1" bash /prepare >/dev/null' \
  --customize-hook='timeout 900 unshare --net chroot "$1" bash /days' \
  bookworm /dev/null
echo "packages: passed"
