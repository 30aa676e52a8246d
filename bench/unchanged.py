#!/usr/bin/env python3
"""A/A test on a real server: accept one run as baseline, repeat the unchanged suite, and count verdicts.

Usage: .venv/bin/python bench/unchanged.py [--runs 20] [--profile embedded] [--json FILE] [PYTEST ARGS...]

No run may end with `regressed`: each one that does is a false alarm. `invalid` verdicts come from a disturbed machine,
are counted separately and prove nothing. Needs a machine that runs nothing else; about a minute per run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def run(folder: Path, profile: str, extra: list[str]) -> tuple[int, dict[str, Any]]:
    """Run the suite once in `folder`; returns its exit code and its record."""
    command = [str(BIN / "pytest"), "-q", "-m", "perf", "--tokgate-profile", profile, *extra]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    records = sorted(folder.glob("runs/*/run.json"), key=lambda path: path.stat().st_mtime_ns)
    if not records:
        sys.exit(done.stdout + done.stderr)
    return done.returncode, json.loads(records[-1].read_bytes())


def accept_baseline(folder: Path, profile: str, extra: list[str]) -> dict[str, Any]:
    """Run until a run can be accepted as baseline, and accept it; returns its record."""
    for _ in range(5):
        code, record = run(folder, profile, extra)
        command = [str(BIN / "tokgate"), "baseline", "accept", "latest"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode == 0:
            return record
        print(f"not a baseline (exit {code}): {done.stdout}{done.stderr}", file=sys.stderr)
    sys.exit("none of five runs could become a baseline: this machine is not quiet enough")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--profile", default="embedded")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options, extra = parser.parse_known_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "fixtures", folder / "fixtures")
        shutil.copytree(ROOT / "tests" / "perf", folder / "tests" / "perf")
        for file in ("conftest.py", "pyproject.toml"):
            shutil.copy(ROOT / file, folder)
        accept_baseline(folder, options.profile, extra)
        for number in range(1, options.runs + 1):
            code, record = run(folder, options.profile, extra)
            verdicts = record["verdicts"]
            counts = Counter(verdict["outcome"] for verdict in verdicts)
            rows.append({"run": number, "exit": code, "outcomes": counts})
            print(
                f"run {number:2}: exit {code}, {', '.join(f'{n} {what}' for what, n in counts.items())}",
                flush=True,
            )
            for verdict in verdicts:
                if verdict["outcome"] in ("regressed", "invalid"):
                    cell = f"{verdict['workload']} {verdict['metric']}"
                    print(f"    {cell}: {verdict['outcome']}: {verdict['reason']}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1) + "\n")
    alarms = sum("regressed" in row["outcomes"] for row in rows)
    print(f"{alarms} of {len(rows)} unchanged runs had a regressed cell")


if __name__ == "__main__":
    main()
