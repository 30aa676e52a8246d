#!/usr/bin/env bash
# Build images of fixtures/images: the one that the default tests use, or those listed. Quick if nothing has changed.
# Needs a Docker daemon. Usage: ./ci/images.sh [NAME...]      (vllm-cpu: about 10 minutes and 3 GB)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${BASE:-debian:bookworm-slim}
(($#)) || set -- llama-cpu

for name in "$@"; do
    context=fixtures/images/$name
    if [[ ! -f $context/Dockerfile ]]; then
        echo "no such image: $name; valid: $(cd fixtures/images && echo *)" >&2
        exit 2
    fi
    # The tag is the version of the engine, if the engine is a package with the name of the image: the version
    # determines which options the engine accepts.
    version=$(sed -n "s/^$name==//p" "$context/requirements.txt")
    image=tokgate/$name:${version:-latest}

    # A label of the image holds the hash of its recipe: when the recipe changes, the image is rebuilt.
    recipe=$(cat "$context"/{Dockerfile,requirements.txt,*.py} | sha256sum | cut -d' ' -f1)
    built=$(docker image inspect --format '{{index .Config.Labels "tokgate.recipe"}}' "$image" 2>/dev/null) || true
    [[ $built == "$recipe" ]] && continue

    # pip runs on this machine, which has the package index, proxies and certificates configured; a container may not.
    # 3.11 is the version of Python in the base image.
    "${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 \
        --dest "$context/wheels" --requirement "$context/requirements.txt"
    # The classic builder, because every daemon has it. Host network, because the daemon may have no bridge.
    DOCKER_BUILDKIT=0 docker build --quiet --network host --tag "$image" --label "tokgate.recipe=$recipe" \
        --build-arg "BASE=$base" --build-arg "PIP_OPTIONS=--no-index" "$context" >/dev/null
    rm -f "$context"/wheels/*.whl
done
