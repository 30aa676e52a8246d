#!/usr/bin/env bash
# Build images of fixtures/images: those the default tests use, or the ones named. Quick when nothing changed.
# Needs a Docker daemon. Usage: ./ci/images.sh [NAME...]      (vllm-cpu: about 10 minutes and 3 GB)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${BASE:-debian:bookworm-slim}
(($#)) || set -- llama-cpu

for name in "$@"; do
    context=fixtures/images/$name
    if [[ ! -f $context/Dockerfile ]]; then
        echo "no image $name; there are: $(cd fixtures/images && echo *)" >&2
        exit 2
    fi
    # An image whose engine is a package of its name has its version as a tag, which determines the options it accepts.
    version=$(sed -n "s/^$name==//p" "$context/requirements.txt")
    image=tokgate/$name:${version:-latest}

    # The recipe's hash is a label of the image, so that an image of an older recipe is built anew.
    recipe=$(cat "$context"/{Dockerfile,requirements.txt,*.py} | sha256sum | cut -d' ' -f1)
    built=$(docker image inspect --format '{{index .Config.Labels "tokgate.recipe"}}' "$image" 2>/dev/null) || true
    [[ $built == "$recipe" ]] && continue

    # pip on this machine knows its package index, proxies and certificates; a build inside a container may not.
    # 3.11 is the Python of the base image, whatever this machine has.
    "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 \
        --dest "$context/wheels" --requirement "$context/requirements.txt"
    # The classic builder, which every engine has. Host network: the engine may run without a bridge.
    DOCKER_BUILDKIT=0 docker build --quiet --network host --tag "$image" --label "tokgate.recipe=$recipe" \
        --build-arg "BASE=$base" --build-arg "PIP_OPTIONS=--no-index" "$context" >/dev/null
    rm -f "$context"/wheels/*.whl
done
