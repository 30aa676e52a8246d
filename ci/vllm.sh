#!/usr/bin/env bash
# Run the experiments on the real vLLM, on its CPU backend, in containers. Building the image takes about 10 minutes, once;
# the tests take half an hour. Separate from the nightly run, so that a slow build never delays it.
# pip must find the CPU build of torch: set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU builds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/setup.sh
venv_for embedded,dev
PYTHON=.venv/bin/python ./ci/images.sh vllm-cpu
exec .venv/bin/pytest tests/integration/test_vllm_cpu.py "$@"
