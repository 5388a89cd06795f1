#!/usr/bin/env bash
# Records `make demo` in a terminal of 80x24 and one of 160x50 (tmux), and makes pictures of it:
# docs/live-80x24.svg and docs/live-160x50.svg, three moments each. Takes the demo's stack down first, data and all.
# With arguments it records that command instead and leaves the stack alone.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v tmux >/dev/null || { echo "recording: no tmux; install it (apt-get install tmux)" >&2; exit 1; }
command=(make demo)
(($#)) && command=("$@")

frames=$(mktemp -d)
session=stagehand-recording-$$
trap 'tmux kill-session -t "$session" 2>/dev/null || true; rm -rf "$frames"' EXIT

for size in 80x24 160x50; do
  (($#)) || bin/stagehand down --volumes --file examples/haf/stagehand.yaml >/dev/null 2>&1 || true # there may be none
  mkdir -p "$frames/$size"
  env -u CI LC_ALL=C.UTF-8 tmux -f /dev/null -u new-session -d -s "$session" -x "${size%x*}" -y "${size#*x}" \
    "env -u CI TERM=tmux-256color $(printf '%q ' "${command[@]}"); touch '$frames/$size.over'; sleep 3"
  for ((n = 0; ; n++)); do
    tmux capture-pane -e -p -t "$session" >"$frames/$size/$(printf %05d "$n")" 2>/dev/null || break
    [[ -e $frames/$size.over ]] && break
    sleep 0.25
  done
  tmux kill-session -t "$session" 2>/dev/null || true
  go run ./scripts/frames -size "$size" -o "docs/live-$size.svg" "$frames/$size"
  echo "docs/live-$size.svg"
done
