#!/bin/bash
# Creates the cluster the first time, as the official image does, then runs the command.
set -eu
socket=(-c unix_socket_directories=/var/run/postgresql)
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    read -ra arguments <<<"${POSTGRES_INITDB_ARGS:-}"
    initdb --pgdata "$PGDATA" --username postgres --pwfile "$POSTGRES_PASSWORD_FILE" \
        --auth-local trust --auth-host scram-sha-256 --no-locale --no-instructions "${arguments[@]}"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata "$PGDATA" --wait --options "-c listen_addresses='' ${socket[*]}" start
    for script in /docker-entrypoint-initdb.d/*.sh; do "$script"; done
    pg_ctl --pgdata "$PGDATA" --wait --mode fast stop
fi
[ "$1" != postgres ] || set -- "$@" -c "listen_addresses=*" "${socket[@]}"
exec "$@"
