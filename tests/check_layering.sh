#!/usr/bin/env bash
# Holds the table of allowed includes: check_layering.sh [ROOT]. Prints FILE:LINE and exits 1 for an
# include that the table does not allow.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

# folder -> folders (or single files) that it may include besides itself
declare -A may=(
  [policy]=""
  [limiter/port]="policy/text.h"
  [limiter/intake]="policy limiter/port"
  [limiter/store]="policy limiter/port"
  [limiter/hook]="policy limiter/port"
  [limiter]="policy limiter/port limiter/store"
  [limiter/admin]="policy limiter/port limiter limiter/store"
  [exporter]="policy limiter/port limiter limiter/store limiter/intake limiter/admin"
)

bad=0
while IFS=: read -r file line include; do
  folder=$(dirname "$file")
  target=$(dirname "$include")
  case $folder in limiter/app | tests | tests/*) continue ;; esac
  if [ -z "${may[$folder]+known}" ]; then
    echo "$file:$line: folder $folder is not in the table of tests/check_layering.sh"
    bad=1
    continue
  fi
  allowed=0
  for one in "$folder" ${may[$folder]}; do
    if [ "$target" = "$one" ] || [ "$include" = "$one" ]; then allowed=1; fi
  done
  if [ $allowed = 0 ]; then
    echo "$file:$line: $folder may not include \"$include\""
    bad=1
  fi
done < <(grep -rnE '^#include "(policy|limiter|exporter|tests)/' --include='*.h' --include='*.cc' \
  policy limiter exporter 2>/dev/null | sed -E 's/#include "([^"]*)".*/\1/')
exit $bad
