#!/bin/sh
# Makes .venv and installs the project with everything pinned by constraints.txt.
#
# A stamp in .venv holds the hash of what was installed, so a second call ends at once.
# uv installs ten times as fast as pip; where it can't, pip does the same from the same pins.
set -eu
cd "$(dirname "$0")/.."

VENV=.venv
EXTRAS=worker,stack,monitor,demo,dev
UV_VERSION=0.13.9

fail() {
    echo "setup: $1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do
        if is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no python3")
    fail "needs Python 3.11 or newer, found $found; install one, or name it: make setup PYTHON=/path/to/python3.11"
}

# What was installed, for the stamp: the pins, this script, and where .venv stands
# (a moved tree has wrong paths inside).
wanted_stamp() {
    { pwd && cat pyproject.toml constraints.txt deploy/setup.sh; } | cksum
}

# A moved .venv is not: its scripts name the place where it was made.
venv_is_usable() {
    is_new_enough "$VENV/bin/python" && grep -qsF "$PWD/$VENV/bin/python" "$VENV/bin/pip"
}

make_venv() {
    python=$(find_python)
    echo "setup: making $VENV with $python"
    "$python" -m venv --clear "$VENV" ||
        fail "$python can't make a virtual environment; on Debian and Ubuntu: apt install python3-venv"
}

# uv reads no pip configuration. Where pip was given a mirror or a certificate, hand it on.
share_pip_settings() {
    index=$("$VENV/bin/pip" config get global.index-url 2>/dev/null || true)
    index=${PIP_INDEX_URL:-$index}
    if [ -n "$index" ] && [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
        export UV_DEFAULT_INDEX="$index"
    fi
    if [ -n "${PIP_CERT:-}" ] && [ -z "${SSL_CERT_FILE:-}" ]; then
        export SSL_CERT_FILE="$PIP_CERT"
    fi
}

install_with_uv() {
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION" || return 1
    share_pip_settings
    UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300} "$VENV/bin/uv" pip install --python "$VENV/bin/python" \
        --constraint constraints.txt --editable ".[$EXTRAS]"
}

install_with_pip() {
    "$VENV/bin/python" -m pip install --disable-pip-version-check \
        --constraint constraints.txt --editable ".[$EXTRAS]"
}

stamp=$(wanted_stamp)
if [ "$(cat "$VENV/.stamp" 2>/dev/null || true)" = "$stamp" ] && is_new_enough "$VENV/bin/python"; then
    exit 0
fi

rm -f "$VENV/.stamp"
venv_is_usable || make_venv
echo "setup: installing .[$EXTRAS] in $VENV (a few minutes the first time)"
if ! install_with_uv; then
    echo "setup: uv could not install, trying pip (slower)" >&2
    install_with_pip || fail "packages could not be installed; see pip's message above and check the network"
fi
echo "$stamp" > "$VENV/.stamp"
echo "setup: done"
