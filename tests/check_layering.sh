#!/usr/bin/env bash
# Holds the table of allowed includes: check_layering.sh [ROOT]. Prints FILE:LINE and exits 1 for an
# include that the table does not allow.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

# folder -> folders (or single files) that it may include besides itself
declare -A may=(
  [policy]="policy/reply"
  [policy/reply]="policy"
  [limiter/port]="policy/text.h"
  [limiter/intake]="policy limiter/port"
  [limiter/hook]="policy limiter/port"
  [limiter/localrpc]="policy limiter/port"
  [limiter/counting]="policy limiter/port"
  [limiter/judging]="policy limiter/counting limiter/cases"
  [limiter/cases]="policy limiter/port"
  [limiter/evidence]="policy limiter/port limiter/counting limiter/cases limiter/store"
  [limiter/store]="policy limiter/port limiter/counting limiter/judging limiter/cases limiter/evidence"
  [limiter/sharing]="policy limiter/port limiter/store limiter/counting limiter/cases"
  [limiter]="policy limiter/port limiter/counting limiter/judging limiter/cases limiter/evidence limiter/sharing limiter/store"
  [limiter/admin]="policy limiter/port limiter/localrpc limiter limiter/judging limiter/cases limiter/evidence limiter/store"
  [limiter/queue]="policy limiter/port limiter/store limiter/cases limiter/evidence limiter/localrpc limiter/events.h limiter/admin/track_args.h"
  [limiter/queue_helper]="policy limiter/port limiter/localrpc"
  [limiter/config]="policy limiter/port limiter/store/local_store.h limiter/store/redis_address.h limiter/store/redis_tls.h"
  [limiter/ctl]="policy limiter/port limiter/localrpc limiter/config limiter/intake limiter/admin limiter limiter/cases limiter/judging limiter/hook limiter/queue limiter/queue_helper limiter/store/backup.h limiter/store/forget_filter.h"
  [exporter/notice]="policy limiter/port limiter/localrpc limiter/config/notice_config.h limiter/store"
  [limiter/notify_helper]="policy limiter/port limiter/localrpc"
  [exporter/api]="exporter policy limiter/port limiter/localrpc/json.h limiter/admin limiter/events.h"
  [exporter/console]="exporter exporter/api policy limiter/port limiter/localrpc/json.h limiter/cases/case.h limiter/ctl/case_words.h limiter/ctl/page_text.h limiter/ctl/why_head.h"
  [exporter]="policy limiter/port limiter/events.h limiter/store limiter/admin"
)

bad=0
while IFS=: read -r file line include; do
  folder=${file%/*}
  target=${include%/*}
  case $folder in limiter/app | tests | tests/*) continue ;; esac
  if [ -z "${may[$folder]+known}" ]; then
    echo "$file:$line: folder $folder is not in the table of tests/check_layering.sh"
    bad=1
    continue
  fi
  allowed=0
  # Whoever may know policy may know what its answers mean.
  [[ $target == policy/reply && " ${may[$folder]} " == *" policy "* ]] && allowed=1
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
