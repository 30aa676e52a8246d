#!/usr/bin/env bash
# The nightly run: the suite, for as long as the profile's `night`, with a report however it ends. Arguments are passed to
# pytest; --tokgate-budget TIME or --tokgate-launches N set another length.
#   report/        a link to the run's folder: run.json, report.html, report.md, logs; absent after a kill
#   TOKGATE_RUNS   the folder of runs, which is also the history (default: runs)
# Exit codes: 0 nothing got slower, 1 regressed or a claim contradicted, 2 interrupted, 4 wrong options,
# 5 nothing measured, 6 broken (setup failed, a server that does not start, an invalid measurement).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
trap 'exit 6' EXIT # a failure between here and the start of pytest is not a regression
source ci/setup.sh
venv_for embedded
[[ ! -L report ]] || rm report
trap - EXIT
# exec: SIGINT and SIGTERM of a runner or of systemd must reach pytest, which ends the servers.
exec .venv/bin/pytest -m perf --tokgate-budget=night --tokgate-out="${TOKGATE_RUNS:-runs}" --tokgate-report=report "$@"
