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
        umask 077
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
    ) >"$file"
}

# settings_for worker|dispatcher: what --set gave, without the program's name.
settings_for() {
    local entry
    for entry in ${settings[@]+"${settings[@]}"}; do
        case $entry in "$1".*=*) printf '%s\n' "${entry#*.}" ;; esac
    done
}

# DIR/env: NAME='value' lines and one export line, nothing else.
env_write() {
    local k names file=$stack/env
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
        put HLER_AMQP_URL_DISPATCHER "$(amqp_url dispatcher)"
        put HLER_AMQP_URL_OPERATOR "$(amqp_url operator)"
        for ((k = 1; k <= workers; k++)); do
            put "HLER_AMQP_URL_WORKER_$k" "$(amqp_url "worker-$k")"
        done
    } >"$file.new"
    names=$(sed 's/=.*//' "$file.new" | tr '\n' ' ')
    printf 'export %s\n' "${names% }" >>"$file.new"
    chmod 0600 "$file.new"
    mv -f -- "$file.new" "$file"
    declare -p bin_dir workers dispatchers slots >"$stack/run/options"
}
