#!/usr/bin/env bash
# Fuzzes every decoder of foreign bytes, or those named, each for SECONDS (an hour), one per core.
#   tests/fuzz/run.sh [--build DIR] [SECONDS [NAME ...]]
# What is found stays in DIR/tests/fuzz: found/NAME (inputs that reach new code), crash-* (bugs).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build-fuzz
if [ "${1:-}" = --build ]; then
  build=$2
  shift 2
fi
seconds=${1:-3600}
shift || true
"$root/deploy/install-packages.sh" test
cmake -S "$root" -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DDEFERD_FUZZ=ON -DDEFERD_SANITIZE=address >/dev/null
names=("$@")
if [ $# -eq 0 ]; then
  mapfile -t names < <(cd "$root/tests/fuzz" && ls ./*_fuzz.cc | sed 's|^./||; s|[.]cc$||')
fi
cmake --build "$build" --target "${names[@]}"

cd "$build/tests/fuzz"
fuzz() {
  local seeds=$1/tests/testdata/fuzz/$2 dictionary=()
  [ ! -e "$seeds.dict" ] || dictionary=("-dict=$seeds.dict")
  mkdir -p "found/$2"
  if "./$2" -max_total_time="$3" -timeout=20 "${dictionary[@]}" "found/$2" "$seeds" >"$2.log" 2>&1; then
    echo "ok      $2: $(grep -c . <(ls "found/$2")) inputs found"
  else
    echo "FAILED  $2: see $PWD/$2.log"
    return 1
  fi
}
export -f fuzz
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I NAME bash -c 'fuzz "$@"' fuzz "$root" NAME "$seconds"
