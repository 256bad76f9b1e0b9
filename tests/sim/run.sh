#!/usr/bin/env bash
# Builds the simulation and runs stories, each of one seed; a failing one is printed in its shortest form.
#   tests/sim/run.sh [--build DIR] [--jobs N] [ARGUMENT ...]     ARGUMENTs are sim_main.cc's
# By default a million seeds from 1 on, on all cores, for an hour at most. A story that fails is stored
# in tests/testdata/sim, where it is a test from then on.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build
if [ "${1:-}" = --build ]; then
  build=$2
  shift 2
fi
cmake -S "$root" -B "$build" -G Ninja -DDEFERD_TESTS=ON >/dev/null
cmake --build "$build" --target deferd_sim
exec "$build/tests/sim/deferd_sim" --first 1 --seeds 1000000 --minutes 60 --jobs "$(nproc)" \
  --found "$root/tests/testdata/sim" "$@"
