# shellcheck shell=bash disable=SC2154 # what is set in deploy/stack
# The stack's dispatchers and workers: configurations, catalogue, listener, and DIR/env.

# config_write FILE KEY=VALUE...: libconfig text; a dot in KEY names a group; the last of a key counts.
config_write() {
    local file=$1 entry key
    local -A value=()
    local -a order=()
    shift
    for entry in "$@"; do
        key=${entry%%=*}
        [ -n "${value[$key]+x}" ] || order+=("$key")
        value[$key]=${entry#*=}
    done
    # A group may be written only once: those of one group come together.
    (
        umask 077 # before the file is made, and not by the caller
        rm -f -- "$file"
        exec >"$file"
        local first group=
        for first in $(printf '%s\n' "${order[@]}" | sed 's/\..*//' | awk '!seen[$0]++'); do
            group=
            for key in "${order[@]}"; do
                case $key in
                "$first") printf '%s = %s;\n' "$key" "${value[$key]}" ;;
                "$first".*)
                    [ -n "$group" ] || printf '%s: {\n' "$first"
                    group=1
                    printf '    %s = %s;\n' "${key#*.}" "${value[$key]}"
                    ;;
                esac
            done
            [ -z "$group" ] || printf '};\n'
        done
        true
    )
}

# settings_for worker|dispatcher: what --set gave, without the program's name.  A key without a group is of
# the program's own one: "worker.slots" is slots in the group worker.
settings_for() {
    local entry key
    for entry in ${settings[@]+"${settings[@]}"}; do
        key=${entry%%=*}
        case $key in
        "$1".*.*) printf '%s=%s\n' "${key#*.}" "${entry#*=}" ;;
        "$1".*) printf '%s\n' "$entry" ;;
        esac
    done
}

# broker_keys USER
broker_keys() {
    printf 'broker.host="127.0.0.1"\nbroker.port=%s\nbroker.vhost="hler"\nbroker.user="%s"\nbroker.password="%s"\n' \
        "$amqp_port" "$1" "$(secret "amqp_$1")"
}

dispatcher_configure() {
    local -a keys
    mapfile -t keys < <(
        printf 'dispatcher.id="%s"\n' "$1"
        printf 'database.dsn="%s"\n' "$(dsn hler_dispatcher hler_dispatcher)"
        broker_keys dispatcher
        printf 'leases.lost_after_ms=%s\n' "$lost_after_ms"
        settings_for dispatcher
    )
    config_write "$stack/etc/$1.conf" "${keys[@]}"
}

worker_configure() {
    local -a keys
    mkdir -p -- "$stack/spool/$1"
    mapfile -t keys < <(
        printf 'worker.pool="default"\nworker.slots=%s\n' "$slots"
        printf 'worker.spool=%s\nworker.state_dir=%s\n' "$(config_quote "$stack/spool/$1")" "$(config_quote "$stack/state")"
        printf 'worker.heartbeat_ms=%s\n' "$heartbeat_ms"
        printf 'worker.roots=[%s]\n' "$(config_list ${roots[@]+"${roots[@]}"} "$deploy/examples/playbooks")"
        printf 'worker.commands=["/bin", "/usr/bin", %s]\n' "$(config_quote "$deploy/examples/playbooks")"
        broker_keys "$1"
        settings_for worker
    )
    config_write "$stack/etc/$1.conf" "${keys[@]}"
}

hler_configure() {
    config_write "$stack/etc/hler.conf" \
        "database.dsn=\"$(dsn hler_operator hler_operator)\"" "database.admin_dsn=\"$(dsn postgres postgres)\"" \
        'broker.host="127.0.0.1"' "broker.port=$amqp_port" 'broker.vhost="hler"' \
        "management.url=\"http://127.0.0.1:$management_port\"" 'management.user="operator"' \
        "management.password=\"$(secret amqp_operator)\""
}

hler() { "$bin_dir/hler" --config "$stack/etc/hler.conf" "$@"; }

# program_start worker-K|dispatcher-K
program_start() {
    process_start "$1" "$bin_dir/hler-${1%-*}" --config "$stack/etc/$1.conf"
}

# A listener of the stack's own: a feed of everything, for a stranger.
listener_configure() {
    local file=$stack/etc/listener.json
    [ -s "$file" ] || (umask 077 && hler listener add stack --json >"$file" 2>>"$stack/log/hler.log") ||
        { rm -f -- "$file"; fail listener "hler listener add failed" "$stack/log/hler.log"; }
    listener_url=$(sed -n 's/.*"url": *"\([^"]*\)".*/\1/p' "$file")
    listener_queue=$(sed -n 's/.*"queue": *"\([^"]*\)".*/\1/p' "$file")
    [ -n "$listener_url$listener_queue" ] || fail listener "no url and queue in $file"
}

catalogue_fill() {
    local file
    for file in "$deploy/examples/ping.cfg" "$deploy/examples/site.cfg"; do
        hler catalog apply "$file" >>"$stack/log/hler.log" 2>&1 || fail catalogue "$file was refused" "$stack/log/hler.log"
    done
}

# Those that were started since then: a stack that comes up again has rows, and perhaps messages, of those that went down.
workers_live() {
    [ "$(sql -c "SELECT count(*) FROM hler.workers WHERE state = 'live' AND started_at > '$began'" 2>/dev/null)" = "$workers" ]
}

first_dead_program() {
    local k
    for ((k = 1; k <= dispatchers; k++)); do process_pid "dispatcher-$k" || { echo "dispatcher-$k"; return 0; }; done
    for ((k = 1; k <= workers; k++)); do process_pid "worker-$k" || { echo "worker-$k"; return 0; }; done
    return 1
}

workers_settled() { workers_live || first_dead_program >/dev/null; }

programs_up() {
    local k dead began
    hler_configure
    catalogue_fill
    listener_configure
    began=$(sql -c "SELECT clock_timestamp()") || fail database "the time was not told" "$stack/log/postgres.log"
    for ((k = 1; k <= dispatchers; k++)); do dispatcher_configure "dispatcher-$k"; program_start "dispatcher-$k"; done
    for ((k = 1; k <= workers; k++)); do worker_configure "worker-$k"; program_start "worker-$k"; done
    say "$dispatchers dispatcher(s) and $workers worker(s) started$([ "$(id -u)" != 0 ] || echo ' (as root: jobs run as root)')"
    [ "$dispatchers" -gt 0 ] || return 0
    waiting_for="the workers to be seen" wait_until 90 workers_settled
    if dead=$(first_dead_program); then fail "$dead" "ended at once" "$stack/log/$dead.log"; fi
    workers_live || fail workers "not all of them were seen in the tables" "$stack/log/worker-1.log"
}

# For `restart`, and for the next `up`.  -g: they are read within a function.
options_write() {
    declare -p bin_dir workers dispatchers slots lost_after_ms heartbeat_ms roots settings | sed 's/^declare /declare -g /' \
        >"$stack/run/options"
}

# DIR/env: NAME='value' lines and one export line, nothing else.
env_write() {
    local k names file=$stack/env
    install -m 0600 /dev/null "$file.new" # its passwords are nobody else's from the first byte
    {
        put() { printf '%s=%s\n' "$1" "$(shell_quote "$2")"; }
        put HLER_FRONTEND_DSN "$(dsn hler_frontend hler_frontend)"
        put HLER_OPERATOR_DSN "$(dsn hler_operator hler_operator)"
        put HLER_DISPATCHER_DSN "$(dsn hler_dispatcher hler_dispatcher)"
        put HLER_MIGRATE_DSN "$(dsn postgres postgres)"
        put HLER_MANAGEMENT_URL "http://operator:$(secret amqp_operator)@127.0.0.1:$management_port"
        put HLER_LISTENER_URL "${listener_url-}"
        put HLER_LISTENER_QUEUE "${listener_queue-}"
        put HLER_SPOOL "$stack/spool/worker-1"
        put HLER_SPOOLS "$stack/spool"
        put HLER_LOGS "$stack/log"
        put HLER_CONFIG "$stack/etc/hler.conf"
        put HLER_PLAYBOOKS "$deploy/examples/playbooks"
        put HLER_BIN "$bin_dir"
        put MANPATH "$(dirname "$bin_dir")/share/man:" # the colon: and what man knows of itself
        put HLER_AMQP_URL_DISPATCHER "$(amqp_url dispatcher)"
        put HLER_AMQP_URL_OPERATOR "$(amqp_url operator)"
        for ((k = 1; k <= workers; k++)); do
            put "HLER_AMQP_URL_WORKER_$k" "$(amqp_url "worker-$k")"
        done
    } >"$file.new"
    names=$(sed 's/=.*//' "$file.new" | tr '\n' ' ')
    printf 'export %s\n' "${names% }" >>"$file.new"
    mv -f -- "$file.new" "$file"
    options_write
}
