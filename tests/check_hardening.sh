#!/usr/bin/env bash
# Whether each program has what CMakeLists.txt hardens it with.
#   tests/check_hardening.sh PROGRAM ...
set -euo pipefail
failed=0
for program in "$@"; do
  headers=$(readelf --wide --file-header --program-headers --dynamic "$program")
  symbols=$(readelf --wide --dyn-syms "$program")
  need() {  # WHAT PATTERN TEXT
    grep -Eq "$2" <<<"$3" || { echo "$program: $1 is missing"; failed=1; }
  }
  need "position independence" '^ *Type: +DYN' "$headers"
  need "full RELRO" 'GNU_RELRO' "$headers"
  need "binding at start" 'BIND_NOW|FLAGS_1.*NOW' "$headers"
  need "a stack that cannot be run" 'GNU_STACK.* RW ' "$headers"
  need "the stack protector" '__stack_chk_fail' "$symbols"
  need "FORTIFY_SOURCE" '__(memcpy|fprintf|printf|snprintf|read|vsnprintf|memmove|poll|fdelt)_chk' "$symbols"
done
exit $failed
