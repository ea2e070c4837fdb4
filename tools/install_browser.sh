#!/bin/sh
# Makes sure that the browser tests find a Chromium: the one that TELEX_CHROMIUM names, one on PATH,
# or else Debian's, installed by apt.
set -eu

if [ -n "${TELEX_CHROMIUM:-}" ]; then
    if [ -x "$TELEX_CHROMIUM" ]; then
        exit 0
    fi
    echo "TELEX_CHROMIUM is $TELEX_CHROMIUM, which cannot be executed" >&2
    exit 1
fi

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

help="install Chromium or Google Chrome so that it is on PATH, or name it: make TELEX_CHROMIUM=/path/to/chrome …"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: a browser for the tests, and there is no apt-get here to install one: $help" >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    root=""
elif command -v sudo >/dev/null 2>&1; then
    root="sudo"
else
    echo "missing: a browser for the tests, and installing one needs root or sudo: $help" >&2
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
echo "  installing chromium with apt"
apt update
apt install --no-install-recommends chromium
