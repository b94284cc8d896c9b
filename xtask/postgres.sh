#!/usr/bin/env bash
# Makes PostgreSQL's programs available for the private clusters of tests and
# demo. No cluster of the system is made, started or touched.
#
#   xtask/postgres.sh            installs what is missing
#   xtask/postgres.sh --probe    says what installing would need, changes nothing
set -euo pipefail

readonly CONF=/etc/postgresql-common/createcluster.d/cofferdam.conf

say()  { printf 'postgres: %s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

installed() {
  local bin
  for bin in /usr/lib/postgresql/*/bin; do
    [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && return
  done
  return 1
}

require() {
  command -v apt-get >/dev/null ||
    fail "PostgreSQL's programs are missing: put \`postgres\` and \`initdb\` on the PATH"
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
    fail "the Debian package postgresql is missing: installing it needs root or sudo"
}

# Debian's package makes and starts a cluster of the system, unless it is told
# not to before it comes.
install() {
  local sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo -n)
  say "installing postgresql from Debian"
  "${sudo[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists at hand"
  "${sudo[@]}" mkdir -p "${CONF%/*}"
  printf 'create_main_cluster = false\n' | "${sudo[@]}" tee "$CONF" >/dev/null
  local came=0
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends postgresql >/dev/null || came=$?
  "${sudo[@]}" rm -f "$CONF"
  [ "$came" = 0 ] || fail "\`apt-get install postgresql\` failed"
}

case ${1:-} in
  --probe) installed || require ;;
  "")
    installed && exit
    require
    install
    installed || fail "the package postgresql came without initdb"
    ;;
  *) fail "usage: postgres.sh [--probe]" ;;
esac
