#!/usr/bin/env bash
# Builds deferd and runs a storm of faults on two nodes, a real Exim, a real Postfix and Redis.
#   tests/storm/run.sh [--build DIR] [ARGUMENT ...]     ARGUMENTs are storm.py's
# By default 1,000 kills of deferd and 200 faults of Redis, 45 minutes at most.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build
if [ "${1:-}" = --build ]; then
  build=$2
  shift 2
fi
"$root/deploy/install-packages.sh" test
export DEFERD_EXIM DEFERD_POSTFIX
DEFERD_EXIM=$("$root/tests/e2e/unpack_exim.sh" "$build/exim")
export DEFERD_EXIM_CONFIG=$build/exim
DEFERD_POSTFIX=$("$root/tests/e2e/unpack_postfix.sh" "$build/postfix")
cmake -S "$root" -B "$build" -G Ninja >/dev/null
cmake --build "$build" --target deferd deferctl
export DEFERD_BIN=$build/limiter/app DEFERD_SOURCE=$root PYTHONDONTWRITEBYTECODE=1
exec python3 "$root/tests/storm/storm.py" --seconds 2700 "$@"
