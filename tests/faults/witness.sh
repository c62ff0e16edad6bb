#!/bin/sh
# The witness task of tests/faults/chaos.  What it does, it also writes to a file that no part of Hler knows: one
# short line, one write, appended.  The order of those lines is the order in which things happened.
#
# Inputs: steps, pause (seconds), bulk (lines at once), code (of its exit).
set -u

# The sanitizers' search for leaks hangs at the end of a program now and then (google/sanitizers 1330), and hler-emit ends here
# thousands of times.  The end-to-end tests look for its leaks.
export ASAN_OPTIONS=detect_leaks=0

witness() { printf '%s %s %s %s\n' "$1" "$HLER_TASK" "$HLER_ATTEMPT" "$2" >>"${0%/*}/witness"; }

witness start "$$"
step=0
while [ "$step" -lt "$HLER_INPUT_STEPS" ]; do
    step=$((step + 1))
    printf 'line %s of %s.%s\n' "$step" "$HLER_TASK" "$HLER_ATTEMPT"
    witness line "$step"
    [ "$step" != 1 ] || [ "$HLER_INPUT_BULK" = 0 ] || seq "$HLER_INPUT_BULK"
    # Its end with 0 is a promise: this value will arrive.
    if hler-emit --append --json step "$step" && hler-emit --secret word "canary-$HLER_TASK"; then witness result "$step"; fi
    sleep "$HLER_INPUT_PAUSE"
done
printf 'said=%s\n' "$step" >>"$HLER_OUTPUTS"
witness end "$HLER_INPUT_CODE"
exit "$HLER_INPUT_CODE"
