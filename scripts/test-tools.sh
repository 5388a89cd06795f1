#!/usr/bin/env bash
# Brings what the tests use besides Go and an engine: PostgreSQL's server, an
# ssh server, a browser with the packages mermaid and axe, shellcheck, xmllint, shells to complete
# in, the real Docker Compose. Where it cannot, it says which tests will be skipped; those tests say
# so themselves.
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
missing xmllint && packages+=(libxml2-utils)
missing /usr/sbin/sshd && packages+=(openssh-server)
missing /usr/share/bash-completion/bash_completion && packages+=(bash-completion)
missing fish && packages+=(fish)
missing zsh && packages+=(zsh)

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

# package FOLDER NAME VERSION WHAT: an npm package in a folder of its own in .cache.
package() {
  [[ -d .cache/$1/node_modules/$2 ]] && return
  if command -v npm >/dev/null; then
    echo "test-tools: fetching $2, which $4 in a test"
    npm install --silent --no-audit --no-fund --prefix ".cache/$1" "$2@$3" >/tmp/stagehand-test-tools.log 2>&1 ||
      { tail -n 5 /tmp/stagehand-test-tools.log >&2; echo "test-tools: no $2; its test is skipped" >&2; }
  else
    echo "test-tools: no npm; the test in which $2 $4 is skipped" >&2
  fi
}
package mermaid mermaid 11 "draws the diagrams"
package axe axe-core 4 "looks for what hinders people on a page"

for compose in bench/bin/docker-compose bench/bin/docker-compose5; do
  if ! make --question "$compose" 2>/dev/null; then
    echo "test-tools: building ${compose##*/}, to be compared with"
    make --no-print-directory "$compose" >/tmp/stagehand-test-tools.log 2>&1 ||
      { tail -n 5 /tmp/stagehand-test-tools.log >&2; echo "test-tools: no ${compose##*/}; tests that need it are skipped" >&2; }
  fi
done
