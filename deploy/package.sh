#!/usr/bin/env bash
# Builds the Debian packages deferd and deferd-queue.
#
#   deploy/package.sh [--output DIR] [--prebuilt BUILD_DIR] [--revision VERSION]
#
# --output (default: build-package) gets the .deb files. --prebuilt packages the programs of a CMake
# build directory instead of compiling them again. --revision names another version, for tests.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
output=$root/build-package
prebuilt=
revision=
while [ $# -gt 0 ]; do
  case $1 in
  --output) output=${2:?--output takes a folder} && shift 2 ;;
  --prebuilt) prebuilt=$(cd "${2:?--prebuilt takes a folder}" && pwd) && shift 2 ;;
  --revision) revision=${2:?--revision takes a version} && shift 2 ;;
  *) echo "usage: deploy/package.sh [--output DIR] [--prebuilt BUILD_DIR] [--revision VERSION]" >&2 && exit 2 ;;
  esac
done
mkdir -p "$output"
output=$(cd "$output" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Only what belongs to the project, so that the packages do not depend on what lies about.
mkdir "$work/deferd"
git -C "$root" ls-files -z --cached --others --exclude-standard -- CMakeLists.txt README.md LICENSE policy limiter \
  exporter deploy | (cd "$root" && while IFS= read -r -d '' file; do
  if [ -e "$file" ]; then printf '%s\0' "$file"; fi
done) | tar -C "$root" --null -cf - -T - | tar -C "$work/deferd" -xf -
cp -r "$root/deploy/debian" "$work/deferd/debian"
cd "$work/deferd"
if [ -n "$revision" ]; then
  sed -i "1s/([^)]*)/($revision)/" debian/changelog
fi
options=${DEB_BUILD_OPTIONS:-nocheck parallel=$(nproc)}
[ -z "$prebuilt" ] || options="$options noautodbgsym"
# On a terminal, how far the compiler is.
progress() {
  if [ -t 2 ]; then
    sed -unE 's/^\[([0-9]+\/[0-9]+)\].*/\1/p' | while read -r done; do printf '\r   compiled %s  ' "$done" >&2; done
    printf '\r\033[K' >&2
  else
    cat >/dev/null
  fi
}
DEFERD_PREBUILT=$prebuilt DEB_BUILD_OPTIONS=$options \
  dpkg-buildpackage -b -us -uc ${prebuilt:+-d} 2>&1 | tee "$work/log" | progress || {
  tail -n 60 "$work/log" >&2
  exit 1
}
mv "$work"/*.deb "$work"/*.changes "$work"/*.buildinfo "$output"
ls -1 "$output"/*.deb
