# shellcheck shell=bash disable=SC2154 # what is set in deploy/stack
# Ending a stack: what it started, all that came of it, and nothing else.

# Processes that belong to the stack, one pid a line.  Three marks, since a job's surroundings are
# clean and some programs write over theirs:
#   HLER_STACK=DIR in its environment, or HLER_VARS, HLER_OUTPUTS or HLER_SOCKET below DIR/spool;
#   no terminal, and its directory or an argument lies below DIR/spool or DIR/state (nginx, whose title
#   shows its -c); a person's shell or editor there has a terminal;
#   it descends from one of those.
# Left out: this process and its ancestors.
stack_processes() {
    perl - "$stack" $$ <<'PERL'
use strict; use warnings;
my ($dir, $self) = @ARGV;
my (%parent, %tty, %ours, %spared);
sub slurp { open(my $f, "<", $_[0]) or return ""; local $/; my $s = <$f>; return defined $s ? $s : "" }
opendir(my $proc, "/proc") or die "no /proc\n";
for my $pid (grep { /^\d+$/ } readdir $proc) {
    my $stat = slurp("/proc/$pid/stat");
    next unless $stat =~ /^.*\) (\S) (\d+) \d+ \d+ (-?\d+)/s and $1 ne "Z";
    ($parent{$pid}, $tty{$pid}) = ($2, $3);
}
for (my $p = $self; $p && exists $parent{$p}; $p = $parent{$p}) { $spared{$p} = 1 }
$spared{$$} = 1;
for my $pid (keys %parent) {
    my $environ = "\0" . slurp("/proc/$pid/environ") . "\0";
    my $command = "\0" . join("\0", split(/[\0 ](?=\Q$dir\E)|\0/, slurp("/proc/$pid/cmdline")));
    my $cwd = readlink("/proc/$pid/cwd") // "";
    $ours{$pid} = 1 if index($environ, "\0HLER_STACK=$dir\0") >= 0
        or $environ =~ m{\0HLER_(?:VARS|OUTPUTS|SOCKET)=\Q$dir\E/spool/}
        or $tty{$pid} == 0 and ("$cwd/" =~ m{^\Q$dir\E/(?:spool|state)/} or $command =~ m{\0\Q$dir\E/(?:spool|state)(?:/|\0|$)});
}
for (my $more = 1; $more;) {
    $more = 0;
    for my $pid (keys %parent) {
        next if $ours{$pid} or !$ours{$parent{$pid}} or $spared{$parent{$pid}};
        $ours{$pid} = $more = 1;
    }
}
print "$_\n" for grep { !$spared{$_} } sort { $a <=> $b } keys %ours;
PERL
}

stack_is_empty() { [ -z "$(stack_processes)" ]; }

# signal_all SIGNAL
signal_all() {
    local pid
    for pid in $(stack_processes); do
        kill -"$1" "$pid" 2>/dev/null
        [ "$1" = KILL ] || kill -CONT "$pid" 2>/dev/null
    done
}

end_rest() {
    stack_is_empty && return
    signal_all TERM
    waiting_for="the last processes" wait_until 5 stack_is_empty && return
    # Again and again: between the look and the signal a process may have made another.
    local try
    for try in 1 2 3 4 5 6 7 8 9 10; do
        signal_all KILL
        wait_until 1 stack_is_empty && return
    done
    say "still there after $try signals: $(stack_processes | tr '\n' ' ')"
    return 1
}

stack_end() {
    local file name
    for file in "$stack"/run/dispatcher-*.pid "$stack"/run/worker-*.pid; do
        [ -e "$file" ] || continue
        name=${file##*/}
        process_stop "${name%.pid}" TERM 10
    done
    broker_stop 2 & # what it holds durably survives the KILL
    database_stop
    wait
    end_rest
}
