#!/usr/bin/env bash
# Install tokgate, measure what this machine can run, and print the verdicts. Arguments are passed to pytest: ./ci/perf.sh --tokgate-launches 3 -k chat
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/setup.sh
venv_for embedded
# exec: SIGINT and SIGTERM of a runner must reach pytest, which ends the servers.
exec .venv/bin/pytest -m perf "$@"
