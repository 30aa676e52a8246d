#!/usr/bin/env bash
# Check format, lint, types and import contracts, then run all tests except the suite.
# Arguments are passed to pytest and replace the default selection: ./ci/test.sh tests/unit -k spec
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/setup.sh
venv_for embedded,dev
export PATH="$PWD/.venv/bin:$PATH"
export PYTEST_TIMEOUT=${PYTEST_TIMEOUT:-300} # ends a test that hangs; not in pyproject.toml, because the suite runs without pytest-timeout

ruff format --check --quiet .
ruff check --quiet .
mypy --no-error-summary # also the tests
contracts=$(lint-imports --no-logo) || { echo "$contracts"; exit 1; }

if (($#)); then
    exec pytest "$@"
fi
# Unit tests measure no times and run in parallel; the others need the machine to themselves.
pytest -n auto -q tests/unit
# The excluded files are run by name. They take many minutes on an idle machine; vLLM also needs an image of its own.
exec pytest tests/plugin tests/calibration tests/integration \
    --ignore=tests/integration/test_suite_docker.py --ignore=tests/integration/test_experiments_timed.py \
    --ignore=tests/integration/test_vllm_cpu.py --ignore=tests/integration/test_bisect_timed.py \
    --ignore=tests/integration/test_against_timed.py --ignore=tests/integration/test_guardian_daemon.py
