#!/usr/bin/env bash
# Takes the HAF stack from nothing to serving and shows what is running. It may
# be repeated: what is there is used.
set -euo pipefail
cd "$(dirname "$0")/.."

stack=examples/haf/stagehand.yaml
stagehand=bin/stagehand

# get URL prints the body of its answer.
get() {
  if command -v curl >/dev/null; then
    curl --silent --show-error --fail --max-time 10 "$1"
    return
  fi
  # Without curl: bash's own connection. HTTP/1.0, so that the answer ends with it.
  local host=${1#http://} path
  path=/${host#*/}
  host=${host%%/*}
  exec 3<>"/dev/tcp/${host%:*}/${host#*:}"
  printf 'GET %s HTTP/1.0\r\nHost: %s\r\n\r\n' "$path" "$host" >&3
  sed '1,/^\r*$/d' <&3
  exec 3<&-
}

# shown URL prints an address and the beginning of its answer.
shown() {
  local body
  body=$(get "$1") || {
    echo "demo: $1 does not answer" >&2
    return 1
  }
  printf '%s\n  %s\n' "$1" "$(tr -d '\n' <<<"$body" | tr -s ' ' | cut -c1-240)"
}

scripts/engine.sh
make --no-print-directory --silent build
scripts/images.sh

"$stagehand" up --file "$stack"

echo
echo "Running:"
"$stagehand" ps --file "$stack"
echo
echo "The APIs, on tables in PostgreSQL:"
shown http://127.0.0.1:8081/posts
shown http://127.0.0.1:8082/balances
shown http://127.0.0.1:8083/blocks
for port in 8081 8082 8083; do shown "http://127.0.0.1:$port/status"; done
echo
echo "Logs:                $stagehand logs --file $stack"
echo "Stop:                $stagehand down --file $stack"
echo "Stop, data and all:  $stagehand down --volumes --file $stack"
