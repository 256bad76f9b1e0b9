#!/usr/bin/env bash
# Shows deferd at work on this machine: installs what it needs, builds it, runs it in the foreground.
#
#   deploy/quickstart.sh [--once] [--demo] [--build DIR]
#
# It follows Exim's main log where there is one with mail in it, else (or with --demo) a log that a
# player writes: a hacked web form among healthy domains. All state is in a folder that is removed at
# the end; nothing is installed but Debian packages. --once ends after the show.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build
once=no
demo=no
while [ $# -gt 0 ]; do
  case $1 in
  --once) once=yes && shift ;;
  --demo) demo=yes && shift ;;
  --build) build=${2:?--build takes a folder} && shift 2 ;;
  -h | --help) echo "usage: deploy/quickstart.sh [--once] [--demo] [--build DIR]" && exit 0 ;;
  *) echo "usage: deploy/quickstart.sh [--once] [--demo] [--build DIR]" >&2 && exit 2 ;;
  esac
done

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

say "1. Packages and build (a few minutes the first time)"
"$root/deploy/install-packages.sh" build
[ -e "$build/build.ninja" ] || cmake -S "$root" -B "$build" -G Ninja -DDEFERD_TESTS=OFF
cmake --build "$build" --target deferd deferctl
deferd=$build/limiter/app/deferd
deferctl=$build/limiter/app/deferctl

work=$(mktemp -d)
pids=()
# Ends what was started here, by pid, and leaves nothing behind.
clean_up() {
  trap - EXIT
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap clean_up EXIT
trap 'say "Ended."; exit 0' INT TERM

log=
if [ $demo = no ]; then
  for candidate in /var/log/exim4/mainlog /var/log/exim/main.log /var/log/exim_mainlog; do
    if [ -r "$candidate" ] && grep -qm1 ' <= ' "$candidate"; then log=$candidate && break; fi
  done
fi
player=no
if [ -z "$log" ]; then
  player=yes
  log=$work/mainlog
  : >"$log"
  echo "garden-club.example: garden" >"$work/userdomains"
fi

cat >"$work/deferd.toml" <<TOML
state_dir = "$work/state"
[intake]
exim = ["$log"]
[hook]
exim = "127.0.0.1:0"
[admin]
socket = "$work/admin.sock"
[http]
listen = "127.0.0.1:0"
TOML
[ $player = no ] || printf '[charge]\nusers = "%s"\n' "$work/userdomains" >>"$work/deferd.toml"

if [ $player = yes ]; then
  say "2. deferd follows a log that a player writes: six healthy domains, one hacked web form"
else
  say "2. deferd follows $log"
fi
export DEFERD_SOCKET=$work/admin.sock
"$deferd" --config "$work/deferd.toml" --check
mkfifo "$work/log"
"$deferd" --config "$work/deferd.toml" 2>"$work/log" &
pids+=($!)
exec 8<"$work/log"

# Shows deferd's own log until a line holds the text, for at most so many seconds.
show_until() {
  local text=$1 line
  local -i end=$((SECONDS + $2))
  while [ $SECONDS -lt $end ]; do
    if IFS= read -r -t 1 line <&8; then
      printf '   %s\n' "$line"
      case $line in *"$text"*) return 0 ;; esac
    elif ! kill -0 "${pids[0]}" 2>/dev/null; then
      return 1
    fi
  done
  return 1
}
show_until "answers are checked" 60 || { echo "deferd did not start" >&2 && exit 1; }
if [ $player = yes ]; then
  "$root/deploy/quickstart/player.sh" "$log" 86400 &
  pids+=($!)
  show_until BLOCKED 60 || { echo "no block was seen" >&2 && exit 1; }
fi

address() { "$deferctl" status --json | sed -nE 's/^ +"'"$1"'": "127\.0\.0\.1:([0-9]+)".*/\1/p'; }
ask() { # one question over the socket, as an MTA's ACL asks it
  printf '   > %s\n' "$1"
  exec 7<>"/dev/tcp/127.0.0.1/$(address exim)"
  printf '%b\n' "$1" >&7
  local answer
  IFS= read -r -t 5 answer <&7
  exec 7>&-
  printf '   < %s\n' "$answer"
}
run() {
  printf '\n   $%s\n' "$(printf ' %q' "$@")"
  "$@" | sed 's/^/   /'
}
deferctl() { "$deferctl" "$@"; }

if [ $player = yes ]; then
  say "3. The MTA asks, over the socket, for the hacked account and for a healthy domain"
  ask 'check\tsource=submission\tuser=garden'
  ask 'check\tsource=local\tuser=garden'
  ask 'check\tsource=submission\tsender=anna@bakery.example\tlogin=anna@bakery.example'
  subject=account:garden
else
  say "3. The MTA asks, over the socket"
  subject=$("$deferctl" top --limit 1 --json | sed -nE 's/^ +"subject": "([^"]+)".*/\1/p')
  subject=${subject:-example.com}
  ask "check $subject"
fi

say "4. Why?"
run deferctl why "$subject"
run deferctl blocks
run deferctl top --limit 5

say "5. What Prometheus sees (http://127.0.0.1:$(address http)/metrics)"
exec 7<>"/dev/tcp/127.0.0.1/$(address http)"
printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&7
grep -aE '^deferd_(attempts_total|cases_open|questions_total|source_lag)' <&7 | sed 's/^/   /' || true
exec 7>&-

say "6. A person unblocks"
if [ $player = yes ]; then
  run deferctl unblock "$subject" --reason "form is fixed"
  ask 'check\tsource=submission\tuser=garden'
else
  run deferctl status
fi

say "What next"
[ $once = yes ] || echo "   $deferctl --socket $DEFERD_SOCKET status   asks this daemon"
cat <<TEXT
   deferctl replay /var/log/exim4/mainlog*      what would have been blocked, on your own log
   deploy/doc/install.md                        put it to work with your MTA
TEXT
if [ $once = yes ]; then
  say "Done."
  exit 0
fi
say "deferd goes on; Ctrl-C ends it and removes $work"
while IFS= read -r line <&8; do printf '   %s\n' "$line"; done
