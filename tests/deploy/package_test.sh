#!/usr/bin/env bash
# Builds the packages out of a build directory's programs, and takes them through an operator's first day
# in a bare Debian 12 with a real Exim and a real Postfix (package_scenario.py).
#   tests/deploy/package_test.sh BUILD_DIR [DAY ...]
# DAY: "exim split", "exim single", "exim plain", postfix, container; without one, all of them.
# Needs root, mmdebstrap, debhelper, lintian and Debian's package archive. The mail runs in a network
# namespace of its own, on its own port 25. Status 77: it cannot run here, and says
# what is missing.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?usage: package_test.sh BUILD_DIR [DAY ...]}" && pwd)
shift
days=("$@")
[ ${#days[@]} -gt 0 ] || days=("exim split" "exim single" "exim plain" postfix container)

skip() {
  echo "packages: NOT TRIED: $1"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "this takes root"
for program in mmdebstrap dh lintian pandoc; do
  command -v $program >/dev/null || skip "$program is not installed (deploy/install-packages.sh test)"
done
# Without a network of its own, the mail servers would take this machine's port 25.
unshare --net true 2>/dev/null || skip "no network namespaces here"
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"
/usr/lib/apt/apt-helper download-file http://deb.debian.org/debian/dists/bookworm/InRelease "$work/InRelease" >/dev/null 2>&1 ||
  skip "Debian's package archive cannot be reached"
took() { echo "   $1: $((SECONDS - begun)) s" && begun=$SECONDS; }
begun=$SECONDS

echo "packages"
mkdir -p "$work/debs" "$work/test"
"$root/deploy/package.sh" --prebuilt "$build" --output "$work/debs/old" --revision 0.2.0
# The newer one is the same but for its version: only that is written anew.
mkdir "$work/debs/new"
for package in "$work"/debs/old/*.deb; do
  dpkg-deb -R "$package" "$work/unpacked"
  sed -i 's/^Version: 0\.2\.0$/Version: 0.2.1/; s/(= 0\.2\.0)/(= 0.2.1)/' "$work/unpacked/DEBIAN/control"
  name=$(basename "$package")
  dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/unpacked" "$work/debs/new/${name/_0.2.0_/_0.2.1_}" >/dev/null
  rm -rf "$work/unpacked"
done
took "built"
lintian --allow-root --fail-on error,warning "$work"/debs/old/*.changes
took "lintian"
cp "$root/tests/deploy/package_scenario.py" "$root/tests/e2e/smtp_sink.py" "$root"/deploy/container/* "$work/test"
depends=$(dpkg-deb -f "$work"/debs/new/deferd_*.deb Depends | tr ',' '\n' | sed -E 's/^ *([a-z0-9.+-]+).*/\1/' | sort -u)

# With the network: Postfix for later.
cat >"$work/prepare" <<TEXT
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get clean  # of what the bare system was made of, Exim too
apt-get install -y -q --no-install-recommends --download-only postfix
mkdir /postfix && cp /var/cache/apt/archives/*.deb /postfix
cp -a /etc/exim4 /exim4-of-debian
TEXT
# Without: each day starts from Debian's own configuration.
cat >"$work/days" <<'TEXT'
set -e
mount -t proc proc /proc
ip link set lo up
cd /test
exim_days() { sed -n 's/^exim //p' days; }
for layout in $(exim_days); do
  rm -rf /etc/exim4 && cp -a /exim4-of-debian /etc/exim4
  python3 -u package_scenario.py exim "$layout"
done
export DEBIAN_FRONTEND=noninteractive
if grep -qx postfix days; then
  dpkg --purge --force-depends exim4-daemon-light exim4-base exim4-config >/dev/null 2>&1
  dpkg -i /postfix/*.deb >/postfix/log 2>&1 || cat /postfix/log
  python3 -u package_scenario.py postfix
fi
if grep -qx container days; then python3 -u package_scenario.py container; fi
TEXT
printf '%s\n' "${days[@]}" >"$work/test/days"

echo "bare system"
# The processes have a namespace of their own, so that a failed day leaves no daemon behind.
status=0
mmdebstrap --quiet --variant=minbase \
  --include="ca-certificates,exim4-daemon-light,iproute2,python3,redis-server,$(echo $depends | tr ' ' ',')" \
  --customize-hook="copy-in '$work/debs' '$work/test' '$work/prepare' '$work/days' /" \
  --customize-hook='chroot "$1" bash /prepare >/dev/null' \
  --customize-hook='timeout -k 30 900 unshare --net --mount --pid --fork --kill-child chroot "$1" bash /days' \
  bookworm /dev/null || status=$?
took "bare system and days"
[ $status = 0 ] || exit $status
echo "packages: passed"
