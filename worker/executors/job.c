#include "worker/executors/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "common/utf8.h"

/* Reads what the worker handed over.  Everything here is trusted to come from the worker, but the
 * contents of the two JSON files come from the catalogue and from a front end. */

#define FILE_BYTES_MAX (1024u * 1024u) /* one AMQP message: spec and variables came in it */
#define MESSAGE_MAX 1000u              /* protocol: line of an end */
#define FIELD_MAX 63u

static struct json_object *
read_object(const struct job *job, const char *variable)
{
    CLEANUP(buf_free) struct buf text = {0};
    const char *path = getenv(variable);
    struct json_object *object;
    struct json_error err;

    if (path == NULL) {
        fprintf(stderr, "%s: %s is not set\n", job->program, variable);
        return NULL;
    }
    if (file_read(AT_FDCWD, path, FILE_BYTES_MAX, &text) == -1) {
        fprintf(stderr, "%s: %s %s: %s\n", job->program, variable, path, strerror(errno));
        return NULL;
    }
    object = json_parse(text.data == NULL ? "" : text.data, text.len, &err);
    if (object == NULL)
        fprintf(stderr, "%s: %s: %s\n", job->program, variable, err.text);
    return object;
}

/* The directory that variable names, made if it is not there. */
static const char *
private_dir(const struct job *job, const char *variable)
{
    const char *path = getenv(variable);

    if (path == NULL || path[0] != '/') {
        fprintf(stderr, "%s: %s must be an absolute path\n", job->program, variable);
        return NULL;
    }
    if (file_mkdirs(path) == -1) {
        fprintf(stderr, "%s: %s %s: %s\n", job->program, variable, path, strerror(errno));
        return NULL;
    }
    return path;
}

static const char *
getenv_nonempty(const char *variable)
{
    const char *value = getenv(variable);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

int
job_load(struct job *job, const char *program)
{
    *job = (struct job){.program = program,
                        .cwd = getcwd(NULL, 0),
                        .target = getenv_nonempty("HLER_TARGET"),
                        .operation = getenv_nonempty("HLER_OPERATION"),
                        .roots = getenv_nonempty("HLER_ROOTS"),
                        .outputs = getenv_nonempty("HLER_OUTPUTS"),
                        .socket = getenv_nonempty("HLER_SOCKET")};
    job->home = private_dir(job, "HOME");
    job->tmp = private_dir(job, "TMPDIR");
    if (job->cwd == NULL || job->home == NULL || job->tmp == NULL)
        return JOB_EXIT_NEVER;
    job->spec = read_object(job, "HLER_SPEC");
    job->vars = job->spec == NULL ? NULL : read_object(job, "HLER_VARS");
    if (job->vars == NULL)
        return JOB_EXIT_NEVER;
    if (job->operation == NULL || job->roots == NULL)
        return job_fail(job, JOB_EXIT_NEVER, NULL, "HLER_OPERATION and HLER_ROOTS must be set");
    return 0;
}

void
job_free(struct job *job)
{
    json_object_put(job->spec);
    json_object_put(job->vars);
    free(job->cwd);
}

/* One line, appended whole: other processes of the attempt may append, too. */
static int
append_line(const struct job *job, struct json_object *line)
{
    CLEANUP(file_cleanup_close) int fd = -1;
    CLEANUP(buf_free) struct buf text = {0};
    size_t len;
    const char *json = json_text(line, &len);

    if (job->outputs == NULL)
        return 0;
    buf_add(&text, json, len);
    buf_puts(&text, "\n");
    fd = open(job->outputs, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return fd == -1 ? -1 : file_write_all(fd, text.data, text.len);
}

/* One line of valid UTF-8, cut at a character: tools put anything into their messages. */
PRINTF_LIKE(2, 0)
static void
format_line(struct buf *out, const char *fmt, va_list args)
{
    char text[MESSAGE_MAX];
    int n = vsnprintf(text, sizeof text, fmt, args);
    size_t len = n < 0 ? 0 : strlen(text);

    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
    utf8_sanitise(text, len - utf8_incomplete_tail(text, len), out);
    buf_puts(out, "");
}

int
job_fail(const struct job *job, int code, const char *cause, const char *fmt, ...)
{
    CLEANUP(json_cleanup) struct json_object *line = json_object_new_object();
    CLEANUP(buf_free) struct buf message = {0};
    va_list args;

    va_start(args, fmt);
    format_line(&message, fmt, args);
    va_end(args);
    if (cause != NULL) {
        json_set_string(line, "cause", cause);
        json_set_string(line, "message", message.data);
        if (append_line(job, line) == -1)
            fprintf(stderr, "%s: HLER_OUTPUTS: %s\n", job->program, strerror(errno));
    }
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", job->program, message.data);
    return code;
}

int
job_output(const struct job *job, const char *name, struct json_object *value)
{
    CLEANUP(json_cleanup) struct json_object *line = json_object_new_object();

    json_set_string(line, "field", name);
    json_add(line, "value", json_object_get(value));
    return append_line(job, line);
}

bool
job_field_valid(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return len >= 1 && len <= FIELD_MAX && name[len] == '\0' && name[0] >= 'a' && name[0] <= 'z';
}

char *
job_file(const struct job *job, const char *name, const char *data, size_t len)
{
    char *path = mem_printf("%s/%s", job->cwd, name);

    if (file_create(AT_FDCWD, path, 0600, data, len) == 0)
        return path;
    fprintf(stderr, "%s: %s: %s\n", job->program, path, strerror(errno));
    mem_cleanup(&path);
    return NULL;
}
