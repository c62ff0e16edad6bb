# shellcheck shell=bash disable=SC2154 # what is set in deploy/stack
# What every part of deploy/stack uses: messages, free ports, waiting, processes on record.
#
# A stack is one directory, $stack.  A process on record is DIR/run/NAME.pid holding "PID START",
# START being the kernel's start time of that process: a pid used again is not taken for ours.
#
# A look at a port or at a process starts no other process: waits look ten times a second, and on a machine that is
# slow at that, or full, they would cost more than what they wait for.

say() { printf '[%3ds] %s\n' "$SECONDS" "$*" >&2; }

# fail PART TEXT [LOG]: names the part, shows the end of its log, ends the script.
fail() {
    printf '%s: %s: %s\n' "${0##*/}" "$1" "$2" >&2
    if [ -n "${3-}" ] && [ -s "$3" ]; then
        printf -- '--- the end of %s\n' "$3" >&2
        tail -n 20 -- "$3" >&2
    fi
    exit 1
}

# free_ports N: N different loopback ports nobody listens on, below the range the kernel gives to
# outgoing connections.
free_ports() {
    perl -MIO::Socket::INET -e '
        my ($want, @held) = @ARGV;
        for (1 .. 2000) {
            last if @held >= $want;
            my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 15000 + int(rand(17000)),
                Proto => "tcp", Listen => 1) or next;
            push @held, $s;
        }
        die "no free ports\n" if @held < $want;
        print join(" ", map { $_->sockport } @held), "\n";' "$1"
}

# wait_until SECONDS COMMAND...: polls, and stops early when the process on record $watched is gone.
wait_until() {
    local end=$((SECONDS + $1)) shown=$SECONDS
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        [ -z "${watched-}" ] || process_pid "$watched" || return 1
        if [ $((SECONDS - shown)) -ge 5 ]; then
            shown=$SECONDS
            say "still waiting for ${waiting_for:-$1}"
        fi
        sleep 0.1
    done
}

port_open() {
    { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    exec 3>&-
}

# secret NAME: the password of that name, made once per stack.
secret() {
    local file=$stack/secrets/$1
    [ -s "$file" ] || (umask 077 && openssl rand -hex 16 >"$file")
    printf '%s\n' "$(<"$file")"
}

# start_time PID: sets REPLY; fails when there is no such process (a zombie counts as none).
start_time() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    line=${line##*) }
    # shellcheck disable=SC2086
    set -- $line
    REPLY=${20}
    [ "$1" != Z ]
}

# process_start NAME COMMAND...: in a session of its own, all output to DIR/log/NAME.log.  Every
# process that comes of it carries HLER_STACK=DIR: `down` finds it by that.
process_start() {
    local name=$1 pid
    shift
    HLER_STACK=$stack setsid "$@" </dev/null >>"$stack/log/$name.log" 2>&1 &
    pid=$!
    start_time "$pid" || REPLY=
    printf '%s %s\n' "$pid" "$REPLY" >"$stack/run/$name.pid"
}

# process_pid NAME: sets REPLY to the pid when that very process lives.
process_pid() {
    local pid start
    { read -r pid start <"$stack/run/$1.pid"; } 2>/dev/null || return 1
    start_time "$pid" && [ "$REPLY" = "$start" ] && REPLY=$pid
}

process_gone() { ! process_pid "$1"; }

# process_stop NAME SIGNAL SECONDS: KILL when that did not end it in time.
process_stop() {
    local pid watched=
    process_pid "$1" || { rm -f -- "$stack/run/$1.pid"; return 0; }
    pid=$REPLY
    kill -"$2" "$pid" 2>/dev/null
    kill -CONT "$pid" 2>/dev/null # a process that was stopped by hand gets the signal too
    if ! waiting_for="the end of $1" wait_until "$3" process_gone "$1"; then
        [ "$3" -le 2 ] || say "$1 did not end in $3 s: killed"
        kill -KILL "$pid" 2>/dev/null
        wait_until 5 process_gone "$1"
    fi
    rm -f -- "$stack/run/$1.pid"
}

# Lines of DIR/env and of the configurations.
shell_quote() { printf "'%s'" "${1//\'/\'\\\'\'}"; }
config_quote() { local s=${1//\\/\\\\}; printf '"%s"' "${s//\"/\\\"}"; }

# config_list WORD...: as the items of a libconfig list.
config_list() {
    local word separator=
    for word in "$@"; do
        printf '%s' "$separator"
        config_quote "$word"
        separator=', '
    done
}
