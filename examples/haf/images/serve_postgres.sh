#!/bin/bash
# Becomes a PostgreSQL server on the volume /data, whose files are made if they are not there.
# The arguments are the server's: -c NAME=VALUE. Everybody may connect as the user postgres: who
# shall reach the port is the stack's affair.
set -euo pipefail

data=/data/pgdata
binaries=/usr/lib/postgresql/15/bin

# The server refuses to be root; volumes come up owned by root on some engines.
if ((EUID == 0)); then
  [[ $(stat -c %U /data) == postgres ]] || chown postgres:postgres /data
  exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

# One server at a time. Its own postmaster.pid cannot tell: in every container its process has the ID 1.
exec {lock}>/data/.lock
flock --nonblock "$lock" || {
  echo "serve_postgres: another container holds /data" >&2
  exit 75
}

# It may be killed at any moment: the files get their name when they are whole.
if [[ ! -e $data ]]; then
  rm -rf "$data.new"
  "$binaries/initdb" --pgdata="$data.new" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 >/dev/null
  echo 'host all all all trust' >>"$data.new/pg_hba.conf"
  sync "$data.new/pg_hba.conf"
  mv "$data.new" "$data"
fi

exec "$binaries/postgres" -D "$data" -c listen_addresses='*' -c timezone=UTC -c log_timezone=UTC "$@"
