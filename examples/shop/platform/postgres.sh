#!/bin/sh
# Starts PostgreSQL, and creates database and roles when there is no data yet. Killed at any point it starts over.
set -eu
export LC_ALL=C.UTF-8
bin=/usr/lib/postgresql/17/bin
home=/var/lib/postgresql/data
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

install -d -o postgres -g postgres -m 700 "$home"
install -d -o postgres -g postgres -m 755 /run/postgresql
if [ ! -d "$home/17" ]; then
  rm -rf "$home/new"
  as_postgres "$bin/initdb" -D "$home/new" -U postgres -A scram-sha-256 --auth-local=peer --pwfile=/etc/shop-db/roles/postgres
  echo "host all all all scram-sha-256" >>"$home/new/pg_hba.conf"
  as_postgres "$bin/pg_ctl" -D "$home/new" -w -o "-c listen_addresses=" start
  # Passwords go in by standard input, so no list of processes shows them.
  as_postgres psql -v ON_ERROR_STOP=1 -q <<SQL
CREATE ROLE interlock LOGIN PASSWORD '$(cat /etc/shop-db/roles/interlock)' IN ROLE pg_monitor;
CREATE ROLE shop LOGIN PASSWORD '$(cat /etc/shop-db/roles/shop)';
CREATE DATABASE shop OWNER interlock;
REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO shop;
\\connect shop
ALTER DEFAULT PRIVILEGES FOR ROLE interlock IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO shop;
ALTER DEFAULT PRIVILEGES FOR ROLE interlock IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO shop;
SQL
  as_postgres "$bin/pg_ctl" -D "$home/new" -w -m fast stop
  mv "$home/new" "$home/17"
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$bin/postgres" -D "$home/17" \
  -c listen_addresses='*' -c max_connections=100 -c shared_buffers=256MB -c max_wal_size=2GB
