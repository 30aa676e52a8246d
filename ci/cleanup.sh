#!/usr/bin/env bash
# After a job, however it ended: end the runs of this checkout and remove their servers.
# For ACTIONS_RUNNER_HOOK_JOB_COMPLETED of a GitHub runner and ExecStopPost of systemd. Touches only what tokgate started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ -x .venv/bin/tokgate ]] || exit 0 # nothing was installed, so nothing was started
exec .venv/bin/tokgate cleanup
