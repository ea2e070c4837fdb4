#!/bin/sh
# usage: tools/install.sh browser|compiler
# Makes sure that one is there, or else installs Debian's with apt.
#
# browser: the one that TELEX_CHROMIUM names, or a Chromium or Chrome on PATH (for the tests)
# compiler: the one that CC names, or cc on PATH (for the load generator of the benchmarks)
set -eu

present() {
    for name in "$@"; do
        if command -v "$name" >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

wanted=$1
case $wanted in
    browser)
        named=${TELEX_CHROMIUM:-}
        variable=TELEX_CHROMIUM
        names="chromium chromium-browser google-chrome"
        packages="chromium fonts-liberation"
        help="install Chromium or Chrome so that it is on PATH, or name it: make TELEX_CHROMIUM=/path/to/chrome …"
        ;;
    compiler)
        named=${CC:-}
        variable=CC
        names="cc"
        packages="gcc libc6-dev"
        help="install a C compiler so that cc is on PATH, or name it: make CC=/path/to/compiler …"
        ;;
    *)
        echo "tools/install.sh does not know $wanted" >&2
        exit 2
        ;;
esac

if [ -n "$named" ]; then
    if present "$named"; then
        exit 0
    fi
    echo "$variable is $named, which cannot be executed" >&2
    exit 1
fi
# Word splitting is meant here and below.
# shellcheck disable=SC2086
if present $names; then
    exit 0
fi

if ! present apt-get; then
    echo "missing: a $wanted, and there is no apt-get here to install one: $help" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    root=""
elif present sudo; then
    root="sudo"
else
    echo "missing: a $wanted, and installing one needs root or sudo: $help" >&2
    exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    $root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1 </dev/null || {
        cat "$log" >&2
        echo "apt-get $1 failed: $help" >&2
        exit 1
    }
}
echo "• $wanted: apt-get install $packages"
apt update
# shellcheck disable=SC2086
apt install --no-install-recommends $packages
