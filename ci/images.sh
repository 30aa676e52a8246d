#!/usr/bin/env bash
# Build the images the tests use, tokgate/NAME of fixtures/images/NAME. Needs a Docker engine; quick when nothing changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base=${BASE:-debian:bookworm-slim}
context=fixtures/images/llama-cpu
image=tokgate/llama-cpu

# The recipe's hash is a label of the image, so that an image of an older recipe is built anew.
recipe=$(cat "$context"/{Dockerfile,requirements.txt,serve.py} | sha256sum | cut -d' ' -f1)
if [[ $(docker image inspect --format '{{index .Config.Labels "tokgate.recipe"}}' $image 2>/dev/null) == "$recipe" ]]; then
    exit
fi

# pip on this machine knows its package index, proxies and certificates; a build inside a container may not.
"${PYTHON:-python3}" -m pip download --quiet --no-deps --only-binary :all: \
    --dest $context/wheels --requirement $context/requirements.txt
# The classic builder, which every engine has. Host network: the engine may run without a bridge.
DOCKER_BUILDKIT=0 docker build --quiet --network host --tag $image --label "tokgate.recipe=$recipe" \
    --build-arg "BASE=$base" --build-arg "PIP_OPTIONS=--no-index" $context >/dev/null
rm -f $context/wheels/*.whl
