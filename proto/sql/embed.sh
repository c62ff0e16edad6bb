#!/bin/sh
# Print a C file that holds the given migrations: sh embed.sh NNNN_name.sql …
# Byte for byte, but for the end of the last line; the text must be ASCII without NUL.
set -eu
printf '%s\n\n' '/* Made by proto/sql/embed.sh from the numbered .sql files. */' '#include "dispatcher/cli/migration.h"'
echo 'const struct migration migrations[] = {'
for file; do
    base=$(basename "$file" .sql)
    number=$(printf '%s' "${base%%_*}" | sed 's/^0*//')
    printf '    {%s, "%s",\n' "$number" "${base#*_}"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/?/\\?/g' -e 's/.*/     "&\\n"/' "$file"
    echo '    },'
done
echo '};'
echo 'const size_t migrations_count = sizeof migrations / sizeof migrations[0];'
