#!/bin/sh
# usage: tools/need.sh python|node|git …
# Says in one sentence each what is missing on this machine and how to get it; fails if anything is.
set -u
missing=0

lack() {
    printf '\nmissing: %s\n' "$1" >&2
    missing=1
}

need_python() {
    python=${PYTHON:-python3}
    debian="Debian and Ubuntu: apt install python3 python3-venv; others: https://www.python.org/downloads"
    if ! command -v "$python" >/dev/null 2>&1; then
        lack "Python 3.11 or newer ($python is not on PATH). $debian. If it has another name: make PYTHON=python3.12 …"
    elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        lack "Python 3.11 or newer ($python is $("$python" --version 2>&1 | sed -n 1p)). $debian. If a newer one has another name: make PYTHON=python3.12 …"
    elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        lack "Python's venv module ($python cannot make environments). Debian and Ubuntu: apt install python3-venv"
    fi
}

need_node() {
    node_help="Debian 12, Ubuntu 24.04 and newer: apt install nodejs npm; others: https://nodejs.org"
    if ! command -v node >/dev/null 2>&1; then
        lack "Node.js 18 or newer (node is not on PATH). $node_help"
    elif ! node -e 'process.exit(parseInt(process.versions.node, 10) < 18 ? 1 : 0)' 2>/dev/null; then
        lack "Node.js 18 or newer (node is $(node --version 2>&1)). $node_help"
    fi
    if ! command -v npm >/dev/null 2>&1; then
        lack "npm, which comes with Node.js (npm is not on PATH). $node_help"
    fi
}

need_git() {
    if ! command -v git >/dev/null 2>&1; then
        lack "git (not on PATH). Debian and Ubuntu: apt install git; others: https://git-scm.com/downloads"
    fi
}

for tool in "$@"; do
    case $tool in
        python | node | git) "need_$tool" ;;
        *) lack "a check for $tool in tools/need.sh" ;;
    esac
done
exit $missing
