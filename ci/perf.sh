#!/usr/bin/env bash
# The main job: set up, then measure what this machine has and print the verdicts.
# Arguments go to pytest: ./ci/perf.sh --tokgate-launches 3 -k chat
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source ci/setup.sh
venv_for embedded
# exec: a runner's SIGINT and SIGTERM must reach pytest, which ends the servers.
exec .venv/bin/pytest -m perf "$@"
