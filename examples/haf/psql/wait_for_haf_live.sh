#!/usr/bin/env bash
# Ends when the HAF instance is LIVE. An instance that does not answer yet is
# waited for: how long is for the caller to say.
set -euo pipefail

url=postgres://haf_admin@haf:5432/haf_block_log
for arg in "$@"; do
  case $arg in
    --postgres-url=?*) url=${arg#*=} ;;
    *)
      echo "$0: unexpected argument '$arg'; the only one is --postgres-url=URL" >&2
      exit 2
      ;;
  esac
done

trap 'exit 143' TERM
trap 'exit 130' INT
seen=
while :; do
  row=$(psql --no-psqlrc --quiet --tuples-only --no-align --field-separator=' ' --command="
    SELECT hive.get_sync_state(), hive.head_block_num(), hive.chain_head()" "$url" 2>/dev/null) || row=
  if [ "$row" != "$seen" ] && [ -n "$row" ]; then
    seen=$row
    read -r state head chain <<<"$row"
    # Before the chain is known there is nothing to measure.
    [ "$chain" -gt 0 ] && echo "::progress $head/$chain blocks::$state"
    [ "$state" = LIVE ] && break
  fi
  sleep 0.2
done
echo "LIVE at block $head"
