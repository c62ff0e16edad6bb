/* The table of commands, and the help made of it. */
#include "dispatcher/cli/commands.h"

#include <stdio.h>
#include <string.h>

#define NAME_WIDTH 16
#define OPTION_WIDTH 22

const struct command *const commands[] = {
    &command_submit,        &command_watch,
    &command_list,          &command_show,
    &command_log,           &command_results,
    &command_cancel,        &command_retry,
    &command_workers,       &command_pools,
    &command_drain,         &command_listener_add,
    &command_listener_list, &command_listener_remove,
    &command_catalog_apply, &command_catalog_list,
    &command_catalog_show,  &command_dead_list,
    &command_dead_show,     &command_dead_redrive,
    &command_dead_drop,     &command_setting_list,
    &command_setting_set,   &command_migrate,
    &command_doctor,        NULL,
};

static const char exit_codes[] =
    "Exit codes\n"
    "  0   done; with --wait or --follow: the operation succeeded\n"
    "  1   the operation failed; doctor: a part is ill; dead redrive: a message is kept\n"
    "  2   wrong command line, or the request was refused\n"
    "  3   the database or the broker cannot be reached, or its schema does not fit\n"
    "  4   the operation was cancelled\n"
    "  5   the operation is held: a person must act\n"
    "  6   --timeout passed; the operation goes on\n"
    "  7   there is no such thing\n"
    "  78  wrong settings\n";

/* How many of the words are the command's name; 0 = not this one. */
static size_t
matches(const struct command *c, const char *const *words, size_t n)
{
    const char *space = strchr(c->name, ' ');

    if (space == NULL)
        return n >= 1 && strcmp(words[0], c->name) == 0 ? 1 : 0;
    size_t len = (size_t)(space - c->name);
    return n >= 2 && strlen(words[0]) == len && memcmp(words[0], c->name, len) == 0 &&
                   strcmp(words[1], space + 1) == 0
               ? 2
               : 0;
}

const struct command *
commands_find(const char *const *words, size_t n, size_t *used)
{
    for (size_t i = 0; commands[i] != NULL; i++)
        if ((*used = matches(commands[i], words, n)) > 0)
            return commands[i];
    return NULL;
}

bool
commands_is_group(const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; commands[i] != NULL; i++)
        if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ')
            return true;
    return false;
}

void
commands_print_group(FILE *out, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; commands[i] != NULL; i++)
        if (strncmp(commands[i]->name, word, len) == 0 && commands[i]->name[len] == ' ')
            fprintf(out, "  hler %s %s\n      %s\n", commands[i]->name, commands[i]->synopsis,
                    commands[i]->summary);
}

static void
print_options(const struct opt_table *table)
{
    char left[64];

    for (size_t i = 0; i < table->n; i++) {
        const struct opt *o = &table->options[i];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->value != NULL ? " " : "",
                 o->value != NULL ? o->value : "");
        printf("  %-*s %s\n", OPTION_WIDTH, left, o->doc);
    }
}

void
commands_print_all(const char *prefix)
{
    size_t len = prefix != NULL ? strlen(prefix) : 0;

    puts("usage: hler [OPTIONS] COMMAND …\n\nCommands (`hler COMMAND --help` says more)");
    for (size_t i = 0; commands[i] != NULL; i++)
        if (prefix == NULL || strncmp(commands[i]->name, prefix, len) == 0)
            printf("  %-*s %s\n", NAME_WIDTH, commands[i]->name, commands[i]->summary);
    puts("\nOptions of every command");
    print_options(&cli_globals);
    printf("\nOP is an operation: its id, the first 8 or more characters of it, or \"last\".\n\n%s",
           exit_codes);
}

void
commands_print(const struct command *command)
{
    struct opt_table own = {command->options, command->n_options};

    printf("usage: hler %s %s\n\n%s.\n\n%s\n", command->name, command->synopsis, command->summary,
           command->help);
    if (own.n > 0) {
        puts("Options");
        print_options(&own);
        putchar('\n');
    }
    puts("Options of every command");
    print_options(&cli_globals);
    printf("\n%s", exit_codes);
}
