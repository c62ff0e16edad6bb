/* hler: the command people use.  Globals, then one command. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "dispatcher/cli/cli.h"
#include "dispatcher/cli/commands.h"

static int
run(struct cli *cli, const struct command *command, int argc, char **argv)
{
    CLEANUP(buf_free) struct buf error = {0};
    struct args args = {.tables = {cli_globals, {command->options, command->n_options}}};
    size_t used;
    int code = CLI_USAGE;

    if (args_parse(&args, argc, argv, &error) == -1) {
        cli_say("%s: %s; see `hler %s --help`", command->name, error.data, command->name);
    } else if (args_flag(&args, "help")) {
        commands_print(command);
        code = CLI_OK;
    } else {
        (void)commands_find(args.words, args.n_words, &used);
        args.words += used; /* its own name */
        args.n_words -= used;
        if (args.n_words < command->min_words || args.n_words > command->max_words) {
            cli_say("usage: hler %s %s; see `hler %s --help`", command->name, command->synopsis,
                    command->name);
        } else {
            cli->json = args_flag(&args, "json");
            cli->dsn = args_text(&args, "dsn");
            if (cli->dsn == NULL)
                cli->dsn = getenv("HLER_DSN");
            code = cli_load(cli, args_text(&args, "config"));
            if (code == CLI_OK)
                code = command->run(cli, &args);
        }
        args.words -= used;
    }
    args_free(&args);
    return code;
}

/* The words of argv that no global option takes, up to the two that may name a command. */
static size_t
leading_words(int argc, char **argv, const char *words[2])
{
    size_t n = 0;

    for (int i = 0; i < argc && n < 2; i++) {
        if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--dsn") == 0)
            i++;
        else if (argv[i][0] != '-')
            words[n++] = argv[i];
        else if (n > 0)
            break; /* an option behind the first word: its value is none */
    }
    return n;
}

/* The first option that is none of the globals, or NULL. */
static const char *
unknown_option(int argc, char **argv)
{
    CLEANUP(buf_free) struct buf error = {0};
    struct args args = {.tables = {cli_globals}};
    const char *found = NULL;

    for (int i = 0; i < argc && found == NULL; i++) {
        if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--dsn") == 0)
            i++;
        else if (argv[i][0] == '-' && args_parse(&args, 1, &argv[i], &error) == -1)
            found = argv[i];
        args_free(&args);
    }
    return found;
}

static int
without_command(int argc, char **argv, const char *word, const char *second)
{
    const char *option = unknown_option(argc, argv);

    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--version") == 0) {
            puts("hler " HLER_VERSION);
            return CLI_OK;
        }
        if (strcmp(argv[i], "--help") == 0 || (i == 0 && strcmp(argv[i], "help") == 0)) {
            commands_print_all(word != NULL && strcmp(word, "help") != 0 ? word : NULL);
            return CLI_OK;
        }
    }
    if (word != NULL && commands_is_group(word)) {
        if (second != NULL)
            cli_say("there is no command \"%s %s\"; there are", word, second);
        else
            cli_say("%s what?", word);
        commands_print_group(stderr, word);
    } else if (word != NULL) {
        cli_say("there is no command \"%s\"; see `hler --help`", word);
    } else if (option != NULL) {
        cli_say("there is no option %s; see `hler --help`", option);
    } else {
        commands_print_all(NULL);
        cli_say("a command is missing");
    }
    return CLI_USAGE;
}

int
main(int argc, char **argv)
{
    struct cli cli = {.terminal = isatty(STDOUT_FILENO) == 1};
    const char *words[2] = {NULL, NULL};
    size_t used;

    setlocale(LC_CTYPE, "C.UTF-8");
    log_open("hler", LOG_ERR);
    /* Times are printed in UTC, and read as UTC when they name no zone. */
    if (setenv("PGTZ", "UTC", 1) == -1 || setenv("PGDATESTYLE", "ISO", 1) == -1)
        log_panic("setenv: %m");

    size_t n = leading_words(argc - 1, argv + 1, words);
    const struct command *command = commands_find(words, n, &used);
    if (command == NULL)
        return without_command(argc - 1, argv + 1, words[0], n > 1 ? words[1] : NULL);
    int code = run(&cli, command, argc - 1, argv + 1);
    cli_close(&cli);
    if (fflush(stdout) == EOF && code == CLI_OK) {
        cli_say("cannot write the output: %m");
        code = CLI_FAILED;
    }
    return code;
}
