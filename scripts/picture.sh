#!/usr/bin/env bash
# Draws the README's picture, docs/hello.png: what `stagehand plan --mermaid`
# says of examples/hello, drawn by mermaid itself in a browser.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/test-tools.sh
make --no-print-directory --silent build
page=$(mktemp -d)
trap 'rm -rf "$page"' EXIT

bin/stagehand plan --mermaid -f examples/hello/stagehand.yaml --ledger "$page/ledger.db" >"$page/diagram"
{
  echo '<!doctype html><meta charset="utf-8"><body style="margin:0;background:#fff"><pre class="mermaid">'
  sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g' "$page/diagram"
  echo '</pre><script>'
  cat .cache/mermaid/node_modules/mermaid/dist/mermaid.min.js
  echo '</script><script>mermaid.initialize({startOnLoad: true, sequence: {useMaxWidth: false, actorMargin: 10, boxMargin: 8, messageMargin: 28, width: 110}});</script>'
} >"$page/index.html"

chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
  --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$page/profile" \
  --virtual-time-budget=10000 --window-size="${1:-1830,2080}" --screenshot=docs/hello.png "file://$page/index.html" >/dev/null 2>&1
echo "docs/hello.png"
