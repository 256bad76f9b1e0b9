#!/usr/bin/env bash
# Installs the Debian packages that are missing: install-packages.sh build|package|test|train [RECORD]
# build: what compiling deferd takes; package: what deploy/package.sh takes besides; test: what the
# tests take besides; train: what tests/bench/reply_model.py takes, which makes the model of replies
# anew. To the file RECORD it adds the names of all packages that came with them.
set -euo pipefail

packages=(g++ cmake ninja-build pkg-config libabsl-dev libevent-dev libspdlog-dev
  libtomlplusplus-dev libcli11-dev nlohmann-json3-dev prometheus-cpp-dev libidn2-dev libssl-dev
  libsystemd-dev zlib1g-dev libsqlite3-dev libre2-dev libpsl-dev libcurl4-openssl-dev libhiredis-dev)
case ${1:-build} in
build) ;;
package) packages+=(dpkg-dev debhelper pandoc python3) ;;
test)
  packages+=(libgtest-dev libgmock-dev python3 logrotate prometheus clang clang-format libclang-rt-14-dev
    redis-server redis-sentinel redis-tools openssl systemd systemd-journal-remote mmdebstrap debhelper
    fakeroot lintian pandoc zsh fish chromium libfaketime nginx-light)
  # Node from elsewhere brings its npm, and conflicts with Debian's.
  command -v npm >/dev/null || packages+=(npm)
  ;;
train) packages+=(python3 python3-sklearn) ;;
*)
  echo "usage: install-packages.sh build|package|test|train [RECORD]" >&2
  exit 2
  ;;
esac

record=${2:-}
installed() { dpkg-query -W -f='${Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p' | sort -u; }

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
    missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "missing packages: ${missing[*]}; install them as root, or install sudo" >&2
    exit 1
  }
  as_root=(sudo)
fi
before=$(installed)
# No service is to start because the tests want its programs: a policy-rc.d of ours says no.
echo "installing: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
guard=/usr/sbin/policy-rc.d
if [ ! -e $guard ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $guard >/dev/null
  "${as_root[@]}" chmod +x $guard
  trap '"${as_root[@]}" rm -f $guard' EXIT
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
  --no-install-recommends "${missing[@]}" |
  grep --line-buffered -E '^(Get|Unpacking|Setting up)' || true
[ -z "$record" ] || comm -13 <(echo "$before") <(installed) >>"$record"
# Programs are wanted, not services that start at the next boot.
case " ${missing[*]} " in
*" prometheus "*)
  "${as_root[@]}" systemctl disable --quiet prometheus prometheus-node-exporter 2>/dev/null || true
  ;;
esac
for service in redis-server redis-sentinel; do
  case " ${missing[*]} " in
  *" $service "*) "${as_root[@]}" systemctl disable --quiet "$service" 2>/dev/null || true ;;
  esac
done
for package in "${missing[@]}"; do
  dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || {
    echo "package $package could not be installed" >&2
    exit 1
  }
done
