# shellcheck shell=bash disable=SC2154 # what is set in deploy/stack
# The stack's PostgreSQL: a cluster of its own on a loopback port, no Unix socket (its path may not be
# longer than 107 bytes, DIR may), default settings but for the number of connections.

database_bin() {
    local dir
    for dir in "$servers_root"/usr/lib/postgresql/*/bin; do
        [ -x "$dir/postgres" ] && printf '%s\n' "${dir#"$servers_root"}"
    done | sort -V | tail -n 1
}

# PostgreSQL refuses to run as root.
database_run() {
    if [ "$(id -u)" = 0 ]; then
        "${in_root[@]}" setpriv --reuid postgres --regid postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

database_prepare() {
    local base=$stack/postgres bin
    bin=$(database_bin)
    [ -n "$bin" ] || fail database "PostgreSQL is not installed${servers_root:+ below $servers_root} (apt-get install postgresql)"
    [ ! -s "$base/data/PG_VERSION" ] || return 0
    rm -rf -- "$base"
    mkdir -m 0700 -- "$base"
    [ "$(id -u)" != 0 ] || "${in_root[@]}" chown postgres:postgres -- "$base"
    database_run test -w "$base" || fail database "the user postgres cannot reach $base: a directory above it is closed to others"
    (umask 077 && secret postgres >"$stack/run/pwfile")
    [ "$(id -u)" != 0 ] || "${in_root[@]}" chown postgres -- "$stack/run/pwfile"
    # shellcheck disable=SC2094
    database_run "$bin/initdb" --no-sync -D "$base/data" -U postgres -A scram-sha-256 \
        --pwfile=/dev/stdin -E UTF8 --locale=C.UTF-8 <"$stack/run/pwfile" >>"$stack/log/postgres.log" 2>&1 ||
        { rm -f -- "$stack/run/pwfile"; fail database "initdb failed" "$stack/log/postgres.log"; }
    rm -f -- "$stack/run/pwfile"
}

database_start() {
    local bin
    bin=$(database_bin)
    if [ "$(id -u)" = 0 ]; then
        process_start postgres "${in_root[@]}" setpriv --reuid postgres --regid postgres --init-groups -- \
            "$bin/postgres" -D "$stack/postgres/data" -p "$database_port" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200
    else
        process_start postgres "$bin/postgres" -D "$stack/postgres/data" -p "$database_port" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200
    fi
}

# dsn USER SECRET [DATABASE]
dsn() { printf 'host=127.0.0.1 port=%s dbname=%s user=%s password=%s' "$database_port" "${3-hler}" "$1" "$(secret "$2")"; }

# PostgreSQL's own psql: Debian's in the PATH is a script in Perl that looks for it.
client=$(servers_root='' database_bin)
client=${client:+$client/}psql

# By its environment, which only its user and root can read; arguments are shown to everybody.
sql() {
    PGCONNECT_TIMEOUT=5 PGHOST=127.0.0.1 PGPORT=$database_port PGUSER=postgres PGPASSWORD=$(secret postgres) \
        PGDATABASE=${database-hler} "$client" -X -q -A -t -v ON_ERROR_STOP=1 "$@"
}

database_ready() { port_open "$database_port" && database=postgres sql -c 'SELECT 1' >/dev/null 2>&1; }

database_wait() {
    watched=postgres waiting_for="PostgreSQL on port $database_port" wait_until 60 database_ready ||
        fail database "PostgreSQL does not answer on port $database_port" "$stack/log/postgres.log"
}

# The database and its schema, and passwords for the three roles of the schema.
database_fill() {
    local role log=$stack/log/migrate.log
    [ "$(database=postgres sql -c "SELECT count(*) FROM pg_database WHERE datname = 'hler'")" = 1 ] ||
        database=postgres sql -c 'CREATE DATABASE hler' || fail database "no database could be made"
    HLER_MIGRATE_DSN=$(dsn postgres postgres) "$bin_dir/hler" migrate >>"$log" 2>&1 || fail migrations "hler migrate failed" "$log"
    for role in frontend operator dispatcher; do
        printf "ALTER ROLE hler_%s LOGIN PASSWORD '%s';\n" "$role" "$(secret "hler_$role")"
    done | sql >>"$log" 2>&1 || fail database "the roles of the schema could not get their passwords" "$log"
}

database_stop() { process_stop postgres INT 20; }
