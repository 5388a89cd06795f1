# Sourced by the app's scripts: arguments, psql, and the app's own settings.
# shellcheck shell=bash

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# app.conf sets APP, the app's name.
# shellcheck source=/dev/null
. "$here/app.conf"

POSTGRES_URL=postgres://haf_admin@haf:5432/haf_block_log

# arguments ARG... takes --postgres-url=URL, which every script has.
arguments() {
  local arg
  for arg in "$@"; do
    case $arg in
      --postgres-url=?*) POSTGRES_URL=${arg#*=} ;;
      --help)
        echo "usage: $0 [--postgres-url=URL]"
        exit 0
        ;;
      *)
        echo "$0: unexpected argument '$arg'; the only one is --postgres-url=URL" >&2
        exit 2
        ;;
    esac
  done
}

# sql ARG... runs psql; an error in a statement ends it with code 3.
sql() {
  psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --set=app="$APP" "$@" "$POSTGRES_URL"
}

# progress CURRENT TOTAL UNIT TEXT tells whoever watches how far this is.
progress() {
  echo "::progress $1/$2 $3::$4"
}
