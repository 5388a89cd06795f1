#!/usr/bin/env bash
# Ends when the app is in sync: its block is at most one behind a live instance's.
# A database that does not answer is waited for: how long is for the caller to say.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
arguments "$@"

trap 'exit 143' TERM
trap 'exit 130' INT
seen=
while :; do
  row=$(sql --field-separator=' ' --command="
    SELECT hive.is_app_in_sync('$APP'), coalesce(max(current_block_num), 0), hive.head_block_num()
    FROM hive.contexts WHERE name = '$APP'" 2>/dev/null) || row=
  if [ "$row" != "$seen" ] && [ -n "$row" ]; then
    seen=$row
    read -r in_sync block head <<<"$row"
    progress "$block" "$head" blocks syncing
    [ "$in_sync" = t ] && break
  fi
  sleep 0.2
done
echo "$APP is in sync at block $block"
