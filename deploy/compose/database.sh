#!/bin/bash
# Starts a service's PostgreSQL. On an empty volume the image runs /docker-entrypoint-initdb.d/10-logins.sql, which makes
# the database and its logins. An existing volume gets the logins before the server starts. This renews the logins of an
# earlier version and sets a changed password.
set -euo pipefail

logins=${LOGINS:-/docker-entrypoint-initdb.d/10-logins.sql}
if [ -s "$PGDATA/PG_VERSION" ]; then
    output=$(grep -vE '^(CREATE DATABASE|\\connect)' "$logins" |
        setpriv --reuid=postgres --regid=postgres --init-groups postgres --single -D "$PGDATA" "$SERVICE" 2>&1) ||
        { echo "$output" >&2; exit 1; }
    # Single-user mode continues after an error.
    if grep 'ERROR:' <<<"$output" >&2; then exit 1; fi
fi
exec docker-entrypoint.sh "$@"
