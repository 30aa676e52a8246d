#!/usr/bin/env bash
# The experiments on the real vLLM, on its CPU engine, in containers: builds the image (about 10 minutes, once), then
# tests for half an hour. Apart from the night's run, so that a slow build never delays its figures.
# pip must find torch's CPU build: PIP_EXTRA_INDEX_URL names PyTorch's index of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/setup.sh
venv_for embedded,dev
PYTHON=.venv/bin/python ./ci/images.sh vllm-cpu
exec .venv/bin/pytest tests/integration/test_vllm_cpu.py "$@"
