#!/usr/bin/env bash
# As root on a Debian machine that has only Python and apt: start a Docker daemon, and make the
# base image. Needs no image registry. Quick if everything is there. Not for machines that already have Docker.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
command -v dockerd >/dev/null || missing+=(docker.io)
command -v ps >/dev/null || missing+=(procps) # `docker top` calls ps
if ((${#missing[@]})); then
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! docker info >/dev/null 2>&1; then
    # Without a bridge the daemon needs no privileges over the network; containers use that of the host.
    # A session of its own and closed streams: the daemon outlives this script and keeps none of its pipes open.
    setsid dockerd --bridge=none --iptables=false --ip6tables=false </dev/null >/tmp/tokgate-dockerd.log 2>&1 &
    disown
    for ((i = 0; i < 120; i++)); do
        docker info >/dev/null 2>&1 && break
        sleep 0.5
    done
    docker info >/dev/null || {
        tail -20 /tmp/tokgate-dockerd.log >&2
        exit 1
    }
fi

base=debian:bookworm-slim
if ! docker image inspect $base >/dev/null 2>&1 && ! timeout 120 docker pull --quiet $base 2>/dev/null; then
    command -v debootstrap >/dev/null || apt-get -qq update
    command -v debootstrap >/dev/null ||
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends debootstrap >/dev/null
    echo "making $base (about 100 s) …" >&2
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase bookworm "$root" >/dev/null
    tar --create --one-file-system --directory "$root" . | docker import - $base >/dev/null
fi
