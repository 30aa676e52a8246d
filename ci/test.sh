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
# Long tests take minutes each on an idle machine; vLLM also needs an image of its own. Run them by name, or all of them:
# ./ci/test.sh tests -m long
exec pytest tests/plugin tests/calibration tests/integration -m "not perf and not long"
