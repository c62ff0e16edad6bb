# shellcheck shell=bash disable=SC2154 # what is set in deploy/stack
# The stack's RabbitMQ: a node of its own with its own epmd, all on loopback.  Its paths are given
# relative to DIR/rabbitmq: the scripts of RabbitMQ cannot bear spaces in them.  That of its data is absolute:
# RabbitMQ 4 refuses another, and no script reads it.

broker_prepare() {
    local base=$stack/rabbitmq k
    [ -x "$servers_root$broker_server" ] || fail broker "RabbitMQ is not installed${servers_root:+ below $servers_root} (apt-get install rabbitmq-server)"
    mkdir -p -- "$base/home"
    {
        printf 'dispatcher dispatcher %s\n' "$(secret amqp_dispatcher)"
        printf 'operator operator %s\n' "$(secret amqp_operator)"
        for ((k = 1; k <= workers; k++)); do
            printf 'worker worker-%s %s default\n' "$k" "$(secret "amqp_worker-$k")"
        done
    } | (umask 077 && "$deploy/broker/render" >"$base/definitions.json") || fail broker "no definitions could be made"
    cat >"$base/rabbitmq.conf" <<END
listeners.tcp.default = 127.0.0.1:$amqp_port
management.tcp.ip = 127.0.0.1
management.tcp.port = $management_port
management_agent.disable_metrics_collector = true
load_definitions = definitions.json
log.file.level = warning
log.console = false
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 16777216
END
    printf '[rabbitmq_management].\n' >"$base/enabled_plugins"
}

broker_server=/usr/lib/rabbitmq/bin/rabbitmq-server

# The node's own surroundings, for commands run inside DIR/rabbitmq.  The schedulers must not spin while
# idle: the cores are shared with the programs under trial.  ALLOW_INPUT: the script then becomes the
# node instead of waiting beside it.
broker_settings() {
    broker_env=(HOME="$stack/rabbitmq/home" ERL_EPMD_PORT="$epmd_port" ERL_EPMD_ADDRESS=127.0.0.1
        RABBITMQ_NODENAME=hler@localhost RABBITMQ_DIST_PORT="$dist_port"
        RABBITMQ_MNESIA_BASE="$stack/rabbitmq/mnesia" RABBITMQ_LOG_BASE=. RABBITMQ_CONFIG_FILE=rabbitmq.conf
        RABBITMQ_CONF_ENV_FILE=none.conf RABBITMQ_ENABLED_PLUGINS_FILE=enabled_plugins RABBITMQ_PID_FILE=pid RABBITMQ_ALLOW_INPUT=1
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-noinput -kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none")
}

broker_start() {
    broker_settings
    cd "$stack/rabbitmq" || fail broker "no directory $stack/rabbitmq"
    process_start epmd "${in_root[@]}" env "${broker_env[@]}" epmd -port "$epmd_port" -address 127.0.0.1
    watched=epmd waiting_for="epmd on port $epmd_port" wait_until 10 port_open "$epmd_port" ||
        fail broker "epmd does not answer on port $epmd_port" "$stack/log/epmd.log"
    process_start rabbitmq "${in_root[@]}" env "${broker_env[@]}" "$broker_server"
    cd "$OLDPWD" || exit 1
}

# The AMQP port opens last, when definitions are loaded; `hler listener add` needs the management one too.
broker_ready() { port_open "$amqp_port" && port_open "$management_port"; }

broker_wait() {
    watched=rabbitmq waiting_for="RabbitMQ on port $amqp_port" wait_until 180 broker_ready && return
    cat -- "$stack"/rabbitmq/*.log >>"$stack/log/rabbitmq.log" 2>/dev/null
    fail broker "RabbitMQ does not answer on ports $amqp_port and $management_port" "$stack/log/rabbitmq.log"
}

amqp_url() { printf 'amqp://%s:%s@127.0.0.1:%s/hler' "$1" "$(secret "amqp_$1")" "$amqp_port"; }

# broker_stop SECONDS: its management plugin alone takes five of them to end.
broker_stop() {
    process_stop rabbitmq TERM "$1"
    process_stop epmd TERM 5
}
