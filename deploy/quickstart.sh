#!/usr/bin/env bash
# Shows deferd at work on this machine: installs what it needs, builds it, runs it in the foreground.
#
#   deploy/quickstart.sh [--once] [--demo] [--build DIR]
#   deploy/quickstart.sh --package | --remove [--build DIR]
#
# It follows Exim's main log where there is one with mail in it, else (or with --demo) a log that a
# player writes: a hacked web form among healthy domains. All state is in a folder that is removed at
# the end; nothing is installed but Debian packages. --once ends after the show.
#
# --package builds the Debian packages, and installs deferd: the real thing, in shadow mode, connected
# to nothing yet. --remove takes away what an earlier run brought: the packages that were installed
# for it, deferd's too, and the build folder.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$root/build-quickstart
once=no
demo=no
job=show
while [ $# -gt 0 ]; do
  case $1 in
  --once) once=yes && shift ;;
  --demo) demo=yes && shift ;;
  --build) build=${2:?--build takes a folder} && shift 2 ;;
  --package) job=package && shift ;;
  --remove) job=remove && shift ;;
  -h | --help) echo "usage: deploy/quickstart.sh [--once] [--demo] [--package | --remove] [--build DIR]" && exit 0 ;;
  *) echo "usage: deploy/quickstart.sh [--once] [--demo] [--package | --remove] [--build DIR]" >&2 && exit 2 ;;
  esac
done

bold='' plain=''
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
# A step's title, and how long the one before it took.
begun=
say() {
  [ -z "$begun" ] || printf '   took %d s\n' $((SECONDS - begun))
  begun=$SECONDS
  printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# Beside the build folder, whose name must not become a way to remove something else.
record=$build.brought
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

# Packages that came with an earlier run, that are still here, and that nothing else needs.
remove_packages() {
  local name
  local -a ours=()
  while read -r name; do
    if dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed; then ours+=("$name"); fi
  done < <(sort -u "$record")
  [ ${#ours[@]} -gt 0 ] || return 0
  local others
  others=$(apt-get -s purge "${ours[@]}" | sed -nE 's/^(Purg|Remv) ([^ ]+).*/\2/p' | sort -u |
    comm -23 - <(printf '%s\n' "${ours[@]}" | sort -u))
  if [ -n "$others" ]; then
    echo "not removed, since these need some of them: $(echo $others)" >&2
    echo "  ${ours[*]}" >&2
    return 1
  fi
  echo "removing: ${ours[*]}"
  # deferd's own script sees to it that no mail stops.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get purge -y -q "${ours[@]}" |
    grep --line-buffered -E '^(Removing|Purging|deferd)' || true
}

case $job in
remove)
  if [ ! -e "$record" ]; then
    echo "$record is not there: no run of this script with this build folder has brought anything"
    exit 0
  fi
  remove_packages
  # A folder that was there before is not in the record.
  if grep -qx "# build folder" "$record"; then rm -rf "$build"; fi
  rm -f "$record"
  say "Removed."
  exit 0
  ;;
package)
  say "1. Packages to build with"
  "$root/deploy/install-packages.sh" package "$record"
  say "2. Building deferd's own packages"
  [ -e "$build" ] || echo "# build folder" >>"$record"
  mkdir -p "$build"
  "$root/deploy/package.sh" --output "$build/packages"
  say "3. Installing"
  ls "$build"/packages/deferd_*.deb >/dev/null
  dpkg-query -W -f='${db:Status-Status}' deferd 2>/dev/null | grep -qx installed || echo deferd >>"$record"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$build"/packages/deferd_*.deb |
    grep --line-buffered -E '^(Get|Unpacking|Setting up)' || true
  deferctl version || true
  say "What next"
  cat <<TEXT
   sudo deferctl setup exim --dry-run       (or postfix) shows what it would change; then without
   deploy/quickstart.sh --remove            takes all of it away again
TEXT
  exit 0
  ;;
esac

say "1. Packages to build with"
"$root/deploy/install-packages.sh" build "$record"
say "2. Build (a few minutes the first time)"
if [ ! -e "$build/build.ninja" ]; then
  [ -e "$build" ] || echo "# build folder" >>"$record"
  # For a look at it: compiled fast, not for speed. --package builds what is installed.
  cmake -S "$root" -B "$build" -G Ninja -DDEFERD_TESTS=OFF -DDEFERD_UNITY=ON -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_CXX_FLAGS_DEBUG=-O0 >/dev/null
fi
NINJA_STATUS='[%f/%t, %e s] ' cmake --build "$build" --target deferd deferctl
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
  say "3. deferd follows a log that a player writes: six healthy domains, one hacked web form"
else
  say "3. deferd follows $log"
fi
export DEFERD_SOCKET=$work/admin.sock
"$deferd" --config "$work/deferd.toml" --check
mkfifo "$work/log"
"$deferd" --config "$work/deferd.toml" 2>"$work/log" &
pids+=($!)
exec 8<"$work/log"

# Shows deferd's own log until a line holds the text, for at most so many seconds.
half=
show_until() {
  local text=$1 line
  local -i end=$((SECONDS + $2))
  while [ $SECONDS -lt $end ]; do
    line=
    if IFS= read -r -t 1 line <&8; then
      line=$half$line half=
      printf '   %s\n' "$line"
      case $line in *"$text"*) return 0 ;; esac
    elif half+=$line && ! kill -0 "${pids[0]}" 2>/dev/null; then  # what came of a line in time
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
  say "4. The MTA asks, over the socket, for the hacked account and for a healthy domain"
  ask 'check\tsource=submission\tuser=garden'
  ask 'check\tsource=local\tuser=garden'
  ask 'check\tsource=submission\tsender=anna@bakery.example\tlogin=anna@bakery.example'
  subject=account:garden
else
  say "4. The MTA asks, over the socket"
  subject=$("$deferctl" top --limit 1 --json | sed -nE 's/^ +"subject": "([^"]+)".*/\1/p')
  subject=${subject:-example.com}
  ask "check $subject"
fi

say "5. Why?"
run deferctl why "$subject"
run deferctl blocks
run deferctl top --limit 5

say "6. What Prometheus sees (http://127.0.0.1:$(address http)/metrics)"
exec 7<>"/dev/tcp/127.0.0.1/$(address http)"
printf 'GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n' >&7
grep -aE '^deferd_(attempts_total|cases_open|questions_total|source_lag)' <&7 | sed 's/^/   /' || true
exec 7>&-

say "7. A person unblocks"
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
