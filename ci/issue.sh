#!/usr/bin/env bash
# Tell GitHub what the night came to: in the job's summary, and by an issue of this box that is opened or
# updated on a regression, or while its history slips, and closed when everything passes again.
# Needs gh, and GH_TOKEN with issues: write.
# A run that is broken, undecided or measured nothing shows neither, and leaves the issue as it is.
# Usage: ci/issue.sh [REPORT.md]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
report=${1:-report/report.md}
box=${RUNNER_NAME:-$(uname -n)}
label="regression on $box"

if [[ ! -f $report ]]; then
    echo "no $report: the run was killed, or never began; the issue stays as it is" >&2
    exit
fi
[[ -z ${GITHUB_STEP_SUMMARY:-} ]] || cat "$report" >>"$GITHUB_STEP_SUMMARY"

state=$(sed -n '1s/^<!-- tokgate: \([a-z]*\) -->$/\1/p' "$report")
said=$(sed -n '2s/^## //p' "$report")
if [[ -n ${GITHUB_RUN_ID:-} ]]; then
    said+=" Report and logs: $GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID"
fi

number=$(gh issue list --label "$label" --state open --limit 1 --json number --jq '.[].number')
case $state in
regressed | contradicted | slipped)
    if [[ -n $number ]]; then
        gh issue edit "$number" --body-file "$report"
        gh issue comment "$number" --body "Still so: $said"
    else
        gh label create "$label" --force --color b60205 --description "kept by ci/issue.sh"
        gh issue create --title "tokgate: $label" --label "$label" --body-file "$report"
    fi
    ;;
passed)
    [[ -z $number ]] || gh issue close "$number" --comment "No longer so: $said"
    ;;
broken | undecided | empty)
    echo "$state: the issue stays as it is" >&2
    ;;
*)
    echo "$report does not begin with a state of a run" >&2
    exit 2
    ;;
esac
