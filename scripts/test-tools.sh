#!/usr/bin/env bash
# Brings what the tests use besides Go and an engine: PostgreSQL's server, an
# ssh server, a browser with the mermaid package, shellcheck. Where it cannot, it
# says which tests will be skipped; those tests say so themselves.
set -euo pipefail
cd "$(dirname "$0")/.."

# missing COMMAND-OR-GLOB: neither on the PATH nor a file.
missing() {
  command -v "$1" >/dev/null && return 1
  compgen -G "$1" >/dev/null && return 1
  return 0
}

packages=()
missing '/usr/lib/postgresql/*/bin/initdb' && packages+=(postgresql)
missing chromium && packages+=(chromium)
missing shellcheck && packages+=(shellcheck)
missing /usr/sbin/sshd && packages+=(openssh-server)

if ((${#packages[@]})); then
  if command -v apt-get >/dev/null && ((EUID == 0)); then
    echo "test-tools: installing ${packages[*]}"
    export DEBIAN_FRONTEND=noninteractive
    if missing /usr/sbin/sshd; then
      # The test starts an sshd of its own; this file, Debian's, keeps the
      # package from opening the machine to the network.
      mkdir -p /etc/ssh && touch /etc/ssh/sshd_not_to_be_run
    fi
    { apt-get update && apt-get install --yes --no-install-recommends "${packages[@]}"; } >/tmp/stagehand-test-tools.log 2>&1 ||
      { tail -n 20 /tmp/stagehand-test-tools.log >&2; echo "test-tools: could not install ${packages[*]}; tests that need them are skipped" >&2; }
  else
    echo "test-tools: not here: ${packages[*]}; tests that need them are skipped (install them to run all)" >&2
  fi
fi

mermaid=.cache/mermaid
if ! [[ -d $mermaid/node_modules/mermaid ]]; then
  if command -v npm >/dev/null; then
    echo "test-tools: fetching mermaid, which draws the diagrams in a test"
    npm install --silent --no-audit --no-fund --prefix "$mermaid" mermaid@11 >/tmp/stagehand-test-tools.log 2>&1 ||
      { tail -n 5 /tmp/stagehand-test-tools.log >&2; echo "test-tools: no mermaid; its test is skipped" >&2; }
  else
    echo "test-tools: no npm; the test that draws diagrams is skipped" >&2
  fi
fi
