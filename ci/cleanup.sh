#!/usr/bin/env bash
# After a job, however it ended: end the runs of this checkout and remove their servers.
# For ACTIONS_RUNNER_HOOK_JOB_COMPLETED of a GitHub runner and ExecStopPost of systemd. Touches only what tokgate started.
#   GITHUB_WORKSPACE   the checkout of the job, when the hook of a runner calls the script of another checkout
#   TOKGATE_RUNS       the folder of runs (default: runs)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tokgate=$PWD/.venv/bin/tokgate
[[ -x $tokgate ]] || exit 0 # nothing was installed, so nothing was started
cd "${GITHUB_WORKSPACE:-.}" || exit 0 # no checkout, so nothing was started
exec "$tokgate" cleanup --runs "${TOKGATE_RUNS:-runs}"
