#!/bin/sh
# Finds a Chromium for the tests of the report page, and installs Debian's where there is none and we may.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing chromium for the tests of the report page"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
    echo "no chromium: the tests of the report page in a browser are left out (on Debian: apt install chromium)"
fi
