#!/bin/sh
# Makes .venv and installs vr with everything its tests and demo need, at the versions in constraints.txt.
# Called by make; needs Python 3.11 or newer and nothing else.
set -eu
cd "$(dirname "$0")/.."

fits='import sys; sys.exit(sys.version_info < (3, 11))'

python=.venv/bin/python
if ! { [ -x "$python" ] && "$python" -c "$fits" && "$python" -m pip --version; } >/dev/null 2>&1; then
    # 3.11 first: constraints.txt was written under it.
    for name in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
        if command -v "$name" >/dev/null 2>&1 && "$name" -c "$fits" >/dev/null 2>&1; then
            found=$name
            break
        fi
    done
    if [ -z "${found:-}" ]; then
        echo "error: vr needs Python 3.11 or newer and finds none; install one, or name it: make PYTHON=/path/to/python3.11" >&2
        exit 1
    fi
    # Debian keeps the module that fills a virtual environment in a package of its own.
    if ! "$found" -c 'import ensurepip' >/dev/null 2>&1; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "installing python3-venv"
            apt-get update -qq
            DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        else
            echo "error: $found has no ensurepip; install it (on Debian: apt install python3-venv) and run make again" >&2
            exit 1
        fi
    fi
    echo "making .venv with $found ($("$found" -c 'import platform; print(platform.python_version())'))"
    rm -rf .venv
    "$found" -m venv .venv
fi

echo "installing vr and its dependencies into .venv (about 1.5 GB; a minute or two)"
"$python" -m pip install --quiet --disable-pip-version-check --no-input -c constraints.txt -e '.[dev]'
touch .venv/.installed
echo "installed"
