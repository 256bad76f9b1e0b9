#!/usr/bin/env bash
# The layering check passes on this tree and fails on a planted upward include, naming its place.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root/tests/check_layering.sh" "$root"

planted=$(mktemp -d)
trap 'rm -rf "$planted"' EXIT
cp -r "$root/policy" "$root/limiter" "$root/exporter" "$planted/"
echo '#include "limiter/cases/case_table.h"' >>"$planted/policy/subject.h"
echo '#include "limiter/hook/question.h"' >>"$planted/limiter/intake/stamp.h"
if out=$("$root/tests/check_layering.sh" "$planted"); then
  echo "a planted upward include was not found"
  exit 1
fi
grep -qE '^policy/subject.h:[0-9]+: policy may not include "limiter/cases/case_table.h"$' <<<"$out"
grep -qE '^limiter/intake/stamp.h:[0-9]+: limiter/intake may not include' <<<"$out"
[ "$(wc -l <<<"$out")" = 2 ]
