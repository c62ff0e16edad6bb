#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include <stdbool.h>
#include <stdio.h>

#include "dispatcher/cli/cli.h"

/* One per file that is named after it. */
extern const struct command command_submit;
extern const struct command command_watch;
extern const struct command command_list;
extern const struct command command_show;
extern const struct command command_log;
extern const struct command command_results;
extern const struct command command_cancel;
extern const struct command command_retry;
extern const struct command command_workers;
extern const struct command command_pools;
extern const struct command command_drain;
extern const struct command command_listener_add;
extern const struct command command_listener_list;
extern const struct command command_listener_remove;
extern const struct command command_catalog_apply;
extern const struct command command_catalog_list;
extern const struct command command_catalog_show;
extern const struct command command_dead_list;
extern const struct command command_dead_show;
extern const struct command command_dead_redrive;
extern const struct command command_dead_drop;
extern const struct command command_setting_list;
extern const struct command command_setting_set;
extern const struct command command_migrate;
extern const struct command command_doctor;

/* All of them, in the order of the help; NULL-terminated. */
extern const struct command *const commands[];

/* The command named by the first words; *used = how many of them.  NULL = none. */
const struct command *commands_find(const char *const *words, size_t n, size_t *used);

/* Is it the first word of commands of two, "listener"?  And those, with their synopsis. */
bool commands_is_group(const char *word);
void commands_print_group(FILE *out, const char *word);

/* Help on stdout: all commands (prefix NULL), or those whose first word it is. */
void commands_print_all(const char *prefix);
void commands_print(const struct command *command);

#endif
