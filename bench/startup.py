#!/usr/bin/env python3
"""Measure start-up times: medians over new processes, next to those of plain pytest.

Usage: .venv/bin/python bench/startup.py [--runs N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
COMMANDS: dict[str, list[Path | str]] = {
    "pytest --version": [BIN / "pytest", "--version"],
    "pytest --collect-only -m perf": [BIN / "pytest", "--collect-only", "-q", "-m", "perf"],
    "tokgate --help": [BIN / "tokgate", "--help"],
    "tokgate spec check": [BIN / "tokgate", "spec", "check"],
}


def seconds(command: list[Path | str]) -> float:
    """Wall time of one run; raises CalledProcessError when the command fails."""
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each command (default: 7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write rows of command, median_s, min_s, max_s")
    options = parser.parse_args()
    rows = []
    for name, command in COMMANDS.items():
        seconds(command)  # warm the file cache
        times = [seconds(command) for _ in range(options.runs)]
        rows.append({"command": name, "median_s": statistics.median(times), "min_s": min(times), "max_s": max(times)})
        print(f"{name:32} {rows[-1]['median_s']:6.2f} s  ({min(times):.2f}–{max(times):.2f})")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
