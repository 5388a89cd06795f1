#!/usr/bin/env bash
# Makes the examples' images. An image is made again only when what goes into
# it has changed: its label holds a hash of that.
#
# The base is debian:bookworm-slim where a registry answers within
# STAGEHAND_PULL_TIMEOUT seconds (default 60); elsewhere it is made from Debian's
# packages, which needs root on Debian or Ubuntu.
set -euo pipefail
cd "$(dirname "$0")/.."

label=dev.stagehand.demo.inputs
registry_base=debian:bookworm-slim
# The Docker of 20.10 has no other builder, and every later one still has this.
export DOCKER_BUILDKIT=0
export CGO_ENABLED=0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "images: $*"; }
die() {
  echo "images: $*" >&2
  exit 1
}

# hash PATH... prints hashes of the files' names, modes and contents; tests do not count.
hash() {
  find "$@" -type f ! -name '*_test.go' -printf '%m %p\0' | LC_ALL=C sort -z | sha256sum
  find "$@" -type f ! -name '*_test.go' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}

# modules prints what the programs take from go.mod: the other modules are not theirs.
modules() { grep -E '^go |/pgx/' go.mod; }

# digest joins hashes on its input into one.
digest() { sha256sum | cut -c1-32; }

# inputs IMAGE prints the label of an image that is there.
inputs() { docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null || true; }

# program PACKAGE NAME builds a static program into $work, once.
program() {
  [ -e "$work/$2" ] || GOOS=linux GOARCH=$arch go build -trimpath -ldflags=-s -o "$work/$2" "./$1"
}

# build IMAGE DOCKERFILE WANTED CONTEXT [ARG...] builds an image from a folder.
build() {
  local image=$1 file=$2 wanted=$3 context=$4 log old began=$SECONDS
  shift 4
  old=$(docker image inspect --format '{{.Id}}' "$image" 2>/dev/null || true)
  log=$work/${image//\//-}.log
  cp "$file" "$context/Dockerfile"
  if ! docker build --quiet --force-rm --label "$label=$wanted" --tag "$image" "$@" "$context" >"$log" 2>&1; then
    cat "$log" >&2
    die "$image could not be built"
  fi
  # Without its name the one before is rubbish, unless a container still has it.
  [ -z "$old" ] || docker image rm "$old" >/dev/null 2>&1 || true
  say "$image built in $((SECONDS - began)) s"
}

# base_from_registry prints nothing and fails where no registry answers.
base_from_registry() {
  docker image inspect "$registry_base" >/dev/null 2>&1 ||
    timeout "${STAGEHAND_PULL_TIMEOUT:-60}" docker pull --quiet "$registry_base" >/dev/null 2>&1
}

# install_debootstrap installs it where it is missing.
install_debootstrap() {
  command -v debootstrap >/dev/null && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    die "no registry has answered for $registry_base, and without one this needs debootstrap as root on Debian or Ubuntu. Pull the image where it can be had, and bring it here with 'docker save' and 'docker load'"
  fi
  say "installing debootstrap"
  apt-get update -qq >"$work/apt.log" 2>&1 || true # an old list may do
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq debootstrap >>"$work/apt.log" 2>&1 || {
    cat "$work/apt.log" >&2
    die "debootstrap cannot be installed"
  }
}

# base_from_packages imports a minimal Debian as demo/debian.
base_from_packages() {
  install_debootstrap
  [ "$(id -u)" = 0 ] || die "debootstrap needs root; no registry has answered for $registry_base"
  local root=$work/root began=$SECONDS
  say "no registry answers: making the base image from Debian's packages"
  debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" 2>&1 || {
    tail -n 20 "$work/debootstrap.log" >&2
    die "debootstrap has failed"
  }
  # What images of Debian leave out; dpkg.cfg keeps it out of later packages too.
  cp "$images/dpkg.cfg" "$root/etc/dpkg/dpkg.cfg.d/docker"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,info,locale}/*
  tar -C "$root" --numeric-owner -c . | docker import --change 'CMD ["bash"]' - demo/debian >/dev/null
  rm -rf "$root"
  say "demo/debian made in $((SECONDS - began)) s"
}

make_base() {
  local wanted from context=$work/base
  wanted=$(hash "$images/base.Dockerfile" "$images/dpkg.cfg" | digest)
  base_hash=$wanted
  [ "$(inputs demo/base)" = "$wanted" ] && return
  if docker image inspect demo/debian >/dev/null 2>&1; then
    from=demo/debian
  elif base_from_registry; then
    from=$registry_base
  else
    base_from_packages
    from=demo/debian
  fi
  mkdir "$context"
  cp "$images/dpkg.cfg" "$context"
  build demo/base "$images/base.Dockerfile" "$wanted" "$context" --build-arg "FROM=$from"
}

make_psql() {
  local wanted context=$work/psql
  wanted=$({ echo "$base_hash"; hash "$images/psql.Dockerfile" examples/haf/psql; } | digest)
  [ "$(inputs demo/psql)" = "$wanted" ] && return
  mkdir "$context"
  cp -r examples/haf/psql "$context/psql"
  build demo/psql "$images/psql.Dockerfile" "$wanted" "$context"
}

make_postgres() {
  local wanted context=$work/postgres
  wanted=$({ echo "$base_hash"; hash "$images/postgres.Dockerfile" "$images/serve_postgres.sh"; } | digest)
  postgres_hash=$wanted
  [ "$(inputs demo/postgres)" = "$wanted" ] && return
  mkdir "$context"
  cp "$images/serve_postgres.sh" "$context"
  build demo/postgres "$images/postgres.Dockerfile" "$wanted" "$context"
}

make_haf() {
  local wanted context=$work/haf
  wanted=$({ echo "$postgres_hash $arch"; modules; hash "$images/haf.Dockerfile" examples/haf/node; } | digest)
  [ "$(inputs demo/haf)" = "$wanted" ] && return
  program examples/haf/node hafnode
  mkdir "$context"
  cp "$work/hafnode" "$context"
  build demo/haf "$images/haf.Dockerfile" "$wanted" "$context"
}

make_app() {
  local app=$1 wanted context=$work/app-$1
  wanted=$({ echo "$app $arch"; modules; hash "$images/app.Dockerfile" examples/haf/app "examples/haf/apps/$app" examples/haf/apps/common; } | digest)
  [ "$(inputs "demo/$app")" = "$wanted" ] && return
  program examples/haf/app hafapp
  mkdir "$context"
  cp "$work/hafapp" "$context"
  cp -r examples/haf/apps/common "$context/common"
  cp -r "examples/haf/apps/$app" "$context/app"
  build "demo/$app" "$images/app.Dockerfile" "$wanted" "$context" --build-arg "APP=$app"
}

make_hello() {
  local wanted context=$work/hello-image
  wanted=$({ echo "$arch"; modules; hash examples/hello/Dockerfile examples/hello/*.go; } | digest)
  [ "$(inputs demo/hello)" = "$wanted" ] && return
  program examples/hello hello
  mkdir "$context"
  cp "$work/hello" "$context"
  build demo/hello examples/hello/Dockerfile "$wanted" "$context"
}

make_voedger() {
  local wanted context=$work/voedger
  wanted=$({ echo "$arch"; modules; hash examples/voedger/images examples/voedger/vvm; } | digest)
  [ "$(inputs demo/voedger)" = "$wanted" ] && return
  program examples/voedger/vvm vvm
  mkdir "$context"
  cp "$work/vvm" "$context"
  build demo/voedger examples/voedger/images/vvm.Dockerfile "$wanted" "$context"
}

make_matrixone() {
  local wanted context=$work/matrixone
  wanted=$({ echo "$arch"; cat go.mod; hash examples/matrixone/images examples/matrixone/node ledger upgrades events sleep; } | digest)
  [ "$(inputs demo/matrixone)" = "$wanted" ] && return
  program examples/matrixone/node monode
  mkdir "$context"
  cp "$work/monode" "$context"
  build demo/matrixone examples/matrixone/images/node.Dockerfile "$wanted" "$context"
}

images=examples/haf/images
arch=$(docker version --format '{{.Server.Arch}}' 2>/dev/null) ||
  die "no engine answers; scripts/engine.sh brings one"

make_hello
make_voedger
make_matrixone
for app in examples/haf/apps/*/app.conf; do
  make_app "$(basename "$(dirname "$app")")"
done
make_base
# Side by side: each mostly waits for its packages.
make_psql &
psql=$!
make_postgres
make_haf
wait "$psql"
