#!/bin/sh
# Finds a PostgreSQL for the tests of shared libraries, and installs Debian's where there is none and we may.
set -eu
if command -v initdb >/dev/null 2>&1 || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing postgresql for the tests of shared libraries"
    apt-get update -qq
    # The server's programs alone: the tests run one of their own, and no cluster is made on this machine.
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >/dev/null
else
    echo "no postgresql: the tests of a library on a server are left out (on Debian: apt install postgresql)"
fi
