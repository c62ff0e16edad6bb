# shellcheck shell=bash disable=SC2154,SC2034 # what is set in deploy/stack
# Where PostgreSQL and RabbitMQ come from: this system, or the one below $servers_root.

servers_recall() {
    servers_root=
    [ ! -e "$stack/run/servers-root" ] || read -r servers_root <"$stack/run/servers-root"
}

# Sets in_root, the words before each command that shall run in the servers' system.  A stack keeps the system it
# began with: its files are of those versions.
servers_choose() {
    local wanted=$servers_root
    [ -z "$wanted" ] || wanted=$(realpath -e -- "$wanted") || fail servers "no directory $servers_root"
    [ -e "$stack/run/servers-root" ] || printf '%s\n' "$wanted" >"$stack/run/servers-root"
    servers_recall
    [ -z "$wanted" ] || [ "$wanted" = "$servers_root" ] || fail servers "this stack began with those of ${servers_root:-this system}"
    in_root=()
    [ -n "$servers_root" ] || return 0
    [ "$(id -u)" = 0 ] || fail servers "only root can take the servers from $servers_root"
    in_root=("$deploy/lib/in-root" "$servers_root" "$stack")
}

# Takes away the empty directory on which in-root showed the stack.
servers_forget() {
    servers_recall
    [ -z "$servers_root" ] || [ ! -d "$servers_root$stack" ] || rmdir -- "$servers_root$stack"
}
