"""What CI stands on: workflows that keep the box safe, and the issue that a regression opens and a recovery closes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

# gh as far as ci/issue.sh uses it: issues are kept in a file, every other use is an error.
GH = """\
#!{python}
import json, os, signal, sys
from pathlib import Path

store = Path({store!r})
issues = json.loads(store.read_text()) if store.exists() else []
verb, rest = sys.argv[1:3], sys.argv[3:]
if os.environ.get("KILL_AT") == " ".join(verb):
    os.kill(os.getppid(), signal.SIGKILL)
    sys.exit()
given = {{name[2:]: value for name, value in zip(rest, rest[1:]) if name.startswith("--")}}
if "body-file" in given:
    given["body"] = Path(given["body-file"]).read_text()
if verb == ["issue", "list"]:
    assert (given["state"], given["json"], given["jq"]) == ("open", "number", ".[].number")
    found = [one for one in issues if one["open"] and one["label"] == given["label"]]
    print("\\n".join(str(one["number"]) for one in found[: int(given["limit"])]), end="")
elif verb == ["issue", "create"]:
    assert given["label"] in json.loads(store.with_name("labels").read_text()), "could not add label"
    new = {{"number": len(issues) + 1, "open": True, "comments": []}}
    issues.append(new | {{key: given[key] for key in ("title", "label", "body")}})
elif verb == ["label", "create"]:
    assert "--force" in rest
    store.with_name("labels").write_text(json.dumps([rest[0]]))
elif verb in (["issue", "edit"], ["issue", "comment"], ["issue", "close"]):
    one = issues[int(rest[0]) - 1]
    if verb[1] == "edit":
        one["body"] = given["body"]
    if "comment" in (verb[1], *given):
        one["comments"].append(given.get("comment") or given["body"])
    if verb[1] == "close":
        one["open"] = False
else:
    sys.exit(f"gh: {{sys.argv[1:]}} is not known")
store.write_text(json.dumps(issues))
"""


AFTERWARDS = ("exec ./ci/issue.sh", "exec ./ci/cleanup.sh")


class GitHub:
    """A repository's issues behind a `gh` of our own on PATH, and the box that tells it of its nights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.summary = folder / "summary.md"
        tool = folder / "bin" / "gh"
        tool.parent.mkdir()
        tool.write_text(GH.format(python=sys.executable, store=str(folder / "issues")))
        tool.chmod(0o755)

    @property
    def issues(self) -> list[dict[str, Any]]:
        store = self.folder / "issues"
        return json.loads(store.read_text()) if store.exists() else []

    def night(
        self,
        state: str | None,
        title: str = "2 of 12 figures got worse.",
        box: str = "box",
        kill_at: str = "",
    ) -> int:
        """What ci/issue.sh does of a night that ended so; None: it was killed and left no report.

        kill_at: the use of gh at which the script is killed, before gh does it.
        """
        report = self.folder / "report.md"
        report.unlink(missing_ok=True)
        if state is not None:
            report.write_text(f"<!-- tokgate: {state} -->\n## {title}\n\nmore\n")
        environment = os.environ | {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "RUNNER_NAME": box,
            "KILL_AT": kill_at,
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_SERVER_URL": "https://example.org",
            "GITHUB_REPOSITORY": "us/it",
            "GITHUB_RUN_ID": "77",
        }
        command = (ROOT / "ci" / "issue.sh", report)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode


@pytest.fixture
def github(tmp_path: Path) -> GitHub:
    return GitHub(tmp_path)


def test_regression_opens_updates_and_closes_one_issue(github: GitHub) -> None:
    """A regression opens one issue; later nights update it, and a good night closes it."""
    assert github.night("passed") == 0
    assert github.issues == []
    assert github.night("regressed") == 0
    (issue,) = github.issues
    assert (issue["open"], issue["title"]) == (True, "tokgate: regression on box")
    assert issue["body"].startswith("<!-- tokgate: regressed -->")
    assert github.night("regressed", "3 of 12 figures got worse.") == 0
    (issue,) = github.issues
    assert "3 of 12" in issue["body"]
    assert issue["comments"] == [
        "Still: 3 of 12 figures got worse. Report and logs: https://example.org/us/it/actions/runs/77"
    ]
    assert github.night("passed", "Nothing got slower.") == 0
    (issue,) = github.issues
    assert not issue["open"]
    assert issue["comments"][-1].startswith("Resolved: Nothing got slower.")
    assert github.night("slipped") == 0
    assert [one["open"] for one in github.issues] == [False, True], "a new one: the old is history"
    assert github.night("contradicted") == 0
    assert len(github.issues) == 2


@pytest.mark.parametrize("step", ["issue list", "label create", "issue create", "issue edit", "issue comment"])
def test_killed_issue_step_is_repaired_next_night(github: GitHub, step: str) -> None:
    """If the issue step is killed, the next night makes up for it."""
    if step in ("issue edit", "issue comment"):
        github.night("regressed")
    assert github.night("regressed", kill_at=step) == -signal.SIGKILL
    assert github.night("regressed", "3 of 12 figures got worse.") == 0
    (issue,) = github.issues
    assert issue["open"]
    assert "3 of 12" in issue["body"]
    assert github.night("passed", kill_at="issue close") == -signal.SIGKILL
    assert github.night("passed") == 0
    assert [one["open"] for one in github.issues] == [False]


@pytest.mark.parametrize("state", ["broken", "undecided", "empty", None])
def test_unclear_nights_leave_the_issue_unchanged(github: GitHub, state: str | None) -> None:
    """A night that shows neither regression nor recovery leaves the issue unchanged."""
    github.night("regressed")
    before = github.issues
    assert github.night(state) == 0
    assert github.issues == before


def test_each_box_has_its_own_issue(github: GitHub) -> None:
    github.night("regressed", box="one")
    github.night("regressed", box="two")
    github.night("passed", box="one")
    assert [(one["label"], one["open"]) for one in github.issues] == [
        ("regression on one", False),
        ("regression on two", True),
    ]


def test_every_report_is_shown_in_the_summary(github: GitHub) -> None:
    for state in ("passed", "broken"):
        github.night(state)
    assert github.summary.read_text().count("## ") == 2


def test_a_file_that_is_no_report_is_an_error(github: GitHub) -> None:
    assert github.night("wrong") == 2


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    read: dict[Any, Any] = yaml.safe_load(request.param.read_text())
    read["on"] = read.pop(True)  # YAML 1.1 takes `on` for a truth value
    return read


def test_workflows_do_nothing_but_call_ci(workflow: dict[str, Any]) -> None:
    for step in steps(workflow):
        if "run" in step:
            script = re.fullmatch(r"(?:exec )?\./(ci/\w+\.sh)(?: .*)?", step["run"])
            assert script is not None, step["run"]
            assert os.access(ROOT / script[1], os.X_OK)
            assert "${{" not in step["run"], "an expression in a command line is a way in for whoever sets it"
        else:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"]), "pinned by commit"


def test_workflows_may_read_and_at_most_write_issues(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"]["contents"] == "read"
    assert workflow["permissions"].items() <= {"contents": "read", "issues": "write"}.items()
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_box_runs_one_job_and_no_pull_request(workflow: dict[str, Any]) -> None:
    """The box runs one job at a time, and no pull request."""
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"]
    if "self-hosted" not in job["runs-on"]:
        return
    assert job["runs-on"] == ["self-hosted", "linux", "gfx1151"]
    assert workflow["on"].keys() <= {"schedule", "workflow_dispatch"}
    assert workflow["concurrency"] == {"group": "tokgate-gfx1151", "cancel-in-progress": False}
    _, measured, upload, *_ = steps(workflow)
    assert measured["run"].startswith("exec "), "a cancel must reach pytest"
    assert upload["uses"].startswith("actions/upload-artifact@")
    assert upload["if"] == "always()"
    for step in steps(workflow):
        if step.get("if") == "always()":
            assert "uses" in step or step["run"] in AFTERWARDS, "nothing long begins after a cancel"
    assert steps(workflow)[-1] == {"if": "always()", "run": "exec ./ci/cleanup.sh"}


def test_there_are_three_workflows() -> None:
    assert [path.stem for path in WORKFLOWS] == ["nightly", "perf", "test"]
