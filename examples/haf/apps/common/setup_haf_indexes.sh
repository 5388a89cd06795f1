#!/usr/bin/env bash
# Builds the app's indexes on HAF's own tables, in one transaction. It is the
# maintenance script of an index builder: a HAF instance that nobody else uses.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
arguments "$@"

progress 0 1 steps "building"
PGOPTIONS='--client-min-messages=warning' sql --single-transaction --output=/dev/null \
  --file="$here/haf_indexes.sql" \
  --command="INSERT INTO hive.executions (app, script) VALUES ('$APP', 'setup_haf_indexes')"
progress 1 1 steps "built"
