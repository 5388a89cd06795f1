#!/usr/bin/env bash
# Sets up the app's schema in a HAF instance, in one transaction. It may be run
# again, also at the same time: the second waits and changes nothing.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
arguments "$@"

progress 0 2 steps "checking the instance"
# Before that the massive sync would go on under the new tables, far slower.
if [ "$(sql --command='SELECT hive.is_instance_ready()')" != t ]; then
  echo "$APP: the HAF instance is not ready ($(sql --command='SELECT hive.get_sync_state()')): wait until it is LIVE" >&2
  exit 4
fi

progress 1 2 steps "creating the schema"
PGOPTIONS='--client-min-messages=warning' sql --single-transaction --output=/dev/null \
  --file="$here/lock.sql" --file="$here/schema.sql" --file="$here/register.sql"
progress 2 2 steps "set up"
