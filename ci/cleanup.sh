#!/usr/bin/env bash
# After a job, however it ended: no run of this checkout, no server and no lease of it is left.
# For a runner's ACTIONS_RUNNER_HOOK_JOB_COMPLETED and systemd's ExecStopPost. Touches nothing that is not tokgate's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ -x .venv/bin/tokgate ]] || exit 0 # nothing was installed, so nothing was started
exec .venv/bin/tokgate cleanup
