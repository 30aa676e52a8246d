#!/usr/bin/env bash
# Report the result of the night to GitHub: in the summary of the job, and as one issue for each box. The issue is opened
# or updated on a regression, or while the history gets slower, and closed when everything passes again. A run that is
# broken, undecided or empty shows neither, and leaves the issue unchanged.
# Requires gh, and GH_TOKEN with issues: write.
# Usage: ci/issue.sh [REPORT.md]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
report=${1:-report/report.md}
box=${RUNNER_NAME:-$(uname -n)}
label="regression on $box"

if [[ ! -f $report ]]; then
    echo "no $report: the run was killed or did not start; the issue is left unchanged" >&2
    exit
fi
[[ -z ${GITHUB_STEP_SUMMARY:-} ]] || cat "$report" >>"$GITHUB_STEP_SUMMARY"

state=$(sed -n '1s/^<!-- tokgate: \([a-z]*\) -->$/\1/p' "$report")
headline=$(sed -n '2s/^## //p' "$report")
if [[ -n ${GITHUB_RUN_ID:-} ]]; then
    headline+=" Report and logs: $GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"
fi

number=$(gh issue list --label "$label" --state open --limit 1 --json number --jq '.[].number')
case $state in
regressed | contradicted | slipped)
    if [[ -n $number ]]; then
        gh issue edit "$number" --body-file "$report"
        gh issue comment "$number" --body "Still: $headline"
    else
        gh label create "$label" --force --color b60205 --description "managed by ci/issue.sh"
        gh issue create --title "tokgate: $label" --label "$label" --body-file "$report"
    fi
    ;;
passed)
    [[ -z $number ]] || gh issue close "$number" --comment "Resolved: $headline"
    ;;
broken | undecided | empty)
    echo "$state: the issue is left unchanged" >&2
    ;;
*)
    echo "$report does not begin with the state of a run" >&2
    exit 2
    ;;
esac
