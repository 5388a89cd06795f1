#!/usr/bin/env bash
# Makes sure that a container engine answers. One that answers is used as it
# is, wherever DOCKER_HOST or the Docker context says that it is. Where none
# does, Debian and Ubuntu as root get their own package docker.io and a
# started engine; anywhere else this says what to install.
set -euo pipefail

log=${STAGEHAND_ENGINE_LOG:-/var/log/stagehand-dockerd.log}
# How long an engine may take to answer, in seconds. After a hard kill it looks
# at every container first.
patience=${STAGEHAND_ENGINE_TIMEOUT:-90}

say() { echo "engine: $*"; }
die() {
  echo "engine: $*" >&2
  exit 1
}

# answers holds when an engine answers within 10 s. A hanging one does not count.
answers() { timeout 10 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# is_alive PID holds when the process runs. The dead stay in the table until
# somebody collects them, which in a container may be never.
is_alive() { grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$1/status"; }

# is_running PROGRAM PID holds when the process runs and is that program: ids are used again.
is_running() { [ -n "$2" ] && [ "$(cat "/proc/$2/comm" 2>/dev/null)" = "$1" ] && is_alive "$2"; }

# find_running PROGRAM prints the ids of the processes in our own pid namespace that
# are that program: a container's engine is not ours.
find_running() {
  local comm pid
  for comm in /proc/[0-9]*/comm; do
    pid=${comm#/proc/}
    pid=${pid%/comm}
    if is_running "$1" "$pid" && [ "/proc/$pid/ns/pid" -ef /proc/self/ns/pid ]; then echo "$pid"; fi
  done
}

# refuse_foreign ends the script when somebody else chose the engine: starting another would not help.
refuse_foreign() {
  if [ -n "${DOCKER_HOST:-}" ] && [ "$DOCKER_HOST" != unix:///var/run/docker.sock ]; then
    die "the engine at DOCKER_HOST=$DOCKER_HOST does not answer; start it there, or unset DOCKER_HOST to use one here"
  fi
  local context=${DOCKER_CONTEXT:-}
  if [ -z "$context" ] && [ -z "${DOCKER_HOST:-}" ] && command -v docker >/dev/null; then
    context=$(docker context show 2>/dev/null || true)
  fi
  case $context in
    '' | default) ;;
    *) die "the engine of the Docker context '$context' does not answer; start it, or run 'docker context use default'" ;;
  esac
}

# explain ends the script with what to install where it cannot do that itself.
explain() {
  case $(uname -s) in
    Darwin) die "no engine answers. Install Docker Desktop (https://docs.docker.com/desktop/), or 'brew install colima docker' and run 'colima start'" ;;
    Linux) ;;
    *) die "no engine answers. Install Docker Desktop (https://docs.docker.com/desktop/) and run this in WSL 2" ;;
  esac
  local id=
  # shellcheck source=/dev/null
  id=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}") || true
  case " $id " in
    *" debian "* | *" ubuntu "*) die "no engine answers, and only root can bring one: run 'sudo scripts/engine.sh' and add yourself to the group docker ('sudo usermod -aG docker $(id -un)', then log in again)" ;;
    *" fedora "* | *" rhel "*) die "no engine answers. Run 'sudo dnf install moby-engine && sudo systemctl enable --now docker'" ;;
    *" alpine "*) die "no engine answers. Run 'apk add docker && rc-update add docker && service docker start'" ;;
    *" arch "*) die "no engine answers. Run 'pacman -S docker && systemctl enable --now docker'" ;;
  esac
  die "no engine answers. Install Docker 20.10 or newer (https://docs.docker.com/engine/install/) and start it"
}

# install_engine installs docker.io, and the client where that is a package of its own.
install_engine() {
  command -v dockerd >/dev/null && command -v docker >/dev/null && return
  local packages=(docker.io iptables ca-certificates) aptlog
  aptlog=$(mktemp)
  apt-get update -qq >"$aptlog" 2>&1 || true # an old list may do
  if apt-cache show docker-cli >/dev/null 2>&1; then packages+=(docker-cli); fi
  if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >>"$aptlog" 2>&1; then
    tail -n 20 "$aptlog" >&2
    die "docker.io cannot be installed"
  fi
  rm -f "$aptlog"
  say "installed docker.io"
}

# sweep removes what an engine that was killed leaves behind and the next one
# stumbles over: ids of processes that are gone, or by now are others.
sweep() {
  local program file pid
  for program in dockerd:/var/run/docker.pid containerd:/var/run/docker/containerd/containerd.pid; do
    file=${program#*:}
    program=${program%%:*}
    [ -e "$file" ] || continue
    pid=$(tr -cd 0-9 <"$file")
    if ! is_running "$program" "$pid"; then
      rm -f "$file"
      say "removed $file, which named ${pid:-no process}, not $program"
    fi
  done
  # Sockets without a server; a living containerd's is taken over.
  if [ ! -e /var/run/docker/containerd/containerd.pid ]; then
    rm -f /var/run/docker/containerd/*.sock /var/run/docker/containerd/*.sock.ttrpc
  fi
  # A folder in the socket's place: a container mounted it while no engine ran.
  if [ -d /var/run/docker.sock ]; then
    rmdir /var/run/docker.sock
    say "removed the folder /var/run/docker.sock"
  fi
}

# start_engine starts dockerd by the machine's service manager, or by itself.
start_engine() {
  if [ -d /run/systemd/system ]; then
    systemctl reset-failed docker.service docker.socket 2>/dev/null || true
    systemctl start docker || die "systemd cannot start docker: see 'journalctl -u docker'"
    wait_for_engine 0
    say "started docker (systemd)"
    return
  fi
  local running
  running=$(find_running dockerd)
  if [ -n "$running" ]; then
    # It may be starting, or about to end; whether it is to be killed is not for us to say.
    wait_for_engine "${running%%$'\n'*}"
    say "dockerd was starting and answers now"
    return
  fi
  sweep
  # A session of its own: it must outlive this terminal.
  setsid dockerd >>"$log" 2>&1 </dev/null 9>&- &
  wait_for_engine $!
  say "started dockerd, which logs to $log"
}

# wait_for_engine PID waits until the engine answers; it gives up at once when
# the process ends (0: there is none to look at).
wait_for_engine() {
  local end=$((SECONDS + patience))
  until answers; do
    if [ "$1" != 0 ] && ! is_alive "$1"; then
      tail -n 20 "$log" >&2 2>/dev/null || true
      die "dockerd has ended; the end of $log is above"
    fi
    if [ "$SECONDS" -ge "$end" ]; then
      die "dockerd (process $1) does not answer within $patience s. If it hangs, end it with 'kill $1' and run this again; its log is $log"
    fi
    sleep 0.2
  done
}

# mend removes containers that were being removed when the engine died. They
# run nothing, and their names stay taken until somebody does it.
mend() {
  local id
  for id in $(docker ps -aq --filter status=dead --filter status=removing); do
    if docker rm -f "$id" >/dev/null 2>&1; then
      say "removed container $id, half removed before"
    else
      say "container $id is half removed and cannot be removed; 'docker rm -f $id' says why"
    fi
  done
}

answers && exit 0
refuse_foreign
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then explain; fi
# One at a time; the second finds an engine that answers. The engine must not inherit the lock.
exec 9>/run/stagehand-engine.lock
flock 9
answers && exit 0
install_engine
answers || start_engine
mend
