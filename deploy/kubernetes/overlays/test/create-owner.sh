#!/bin/sh
# The official image runs this once, when it creates the cluster: the application's role owns its database and nothing else.
set -eu
psql --username postgres --dbname postgres --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<'SQL'
\set password `cat /run/secrets/postgres_password`
CREATE ROLE mamochi LOGIN PASSWORD :'password';
CREATE DATABASE mamochi OWNER mamochi;
SQL
