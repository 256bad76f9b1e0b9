#!/usr/bin/env bash
# Line coverage of policy/ and limiter/ by the unit and conformance tests, folder by folder.
#   tests/coverage.sh [--build DIR]
# Builds everything anew with gcc's --coverage (half an hour on two cores), so it is not part of CI.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build-coverage
if [ "${1:-}" = --build ]; then
  build=$2
fi
cmake -S "$root" -B "$build" -G Ninja -DDEFERD_TESTS=ON -DCMAKE_BUILD_TYPE=Debug \
  -DCMAKE_CXX_FLAGS_DEBUG="-O0 -g1 --coverage" >/dev/null
cmake --build "$build" --target fast_tests
find "$build" -name '*.gcda' -delete
ctest --test-dir "$build" -L 'unit|conformance' -j "$(nproc)" --output-on-failure
exec python3 "$root/tests/coverage.py" "$build"
