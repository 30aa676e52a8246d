#!/usr/bin/env bash
# The project's own tests: format, lint, types, floors, then all tests but the suite.
# Arguments go to pytest and then replace the default selection: ./ci/test.sh tests/unit -k spec
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/setup.sh
venv_for embedded,dev
export PATH="$PWD/.venv/bin:$PATH"
export PYTEST_TIMEOUT=${PYTEST_TIMEOUT:-300} # a test that hangs; not in pyproject.toml, since the suite runs without pytest-timeout

ruff format --check --quiet .
ruff check --quiet .
mypy --no-error-summary
floors=$(lint-imports --no-logo) || { echo "$floors"; exit 1; }

if (($#)); then
    exec pytest "$@"
fi
# What does not time anything runs in parallel; servers and schedules need the machine to themselves.
pytest -n auto -q tests/unit
# Run by name: the slowed container, the timed experiments and the bisection need many minutes of a machine with nothing else on
# it, and vLLM an image of its own and half a minute for each start.
exec pytest tests/plugin tests/calibration tests/integration \
    --ignore=tests/integration/test_suite_docker.py --ignore=tests/integration/test_experiments_timed.py \
    --ignore=tests/integration/test_vllm_cpu.py --ignore=tests/integration/test_bisect_timed.py
