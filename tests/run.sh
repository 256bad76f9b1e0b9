#!/usr/bin/env bash
# Installs what the tests need, builds, and runs all of them. Ends with ctest's summary.
#   tests/run.sh [--build DIR] [-- CTEST_ARGUMENT ...]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build
while [ $# -gt 0 ]; do
  case $1 in
  --build) build=$2 && shift 2 ;;
  --) shift && break ;;
  *) echo "usage: tests/run.sh [--build DIR] [-- CTEST_ARGUMENT ...]" >&2 && exit 2 ;;
  esac
done

"$root/deploy/install-packages.sh" test
export DEFERD_EXIM
DEFERD_EXIM=$("$root/tests/e2e/unpack_exim.sh" "$build/exim")
export DEFERD_EXIM_CONFIG=$build/exim
export DEFERD_POSTFIX
DEFERD_POSTFIX=$("$root/tests/e2e/unpack_postfix.sh" "$build/postfix")
cmake -S "$root" -B "$build" -G Ninja -DDEFERD_TESTS=ON -DDEFERD_BENCH=ON -DDEFERD_UNITY=ON \
  -DDEFERD_WERROR=ON
cmake --build "$build"
# One more than there are cores: the programs' tests mostly wait for mail servers.
ctest --test-dir "$build" --output-on-failure -j"$(($(nproc) + 1))" "$@"
