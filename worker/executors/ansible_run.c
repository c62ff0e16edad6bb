#include "worker/executors/ansible_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/mem.h"
#include "worker/executors/ansible_env.h"
#include "worker/executors/ansible_spec.h"
#include "worker/executors/ansible_verdict.h"
#include "worker/executors/child.h"
#include "worker/executors/control.h"
#include "worker/executors/roots.h"
#include "worker/executors/unsafe.h"

/* One run of ansible-playbook: files, arguments, child, verdict. */

#define REPORT_BYTES_MAX (16u * 1024u * 1024u)
#define CONFIG_TEXT                                                                                \
    "# Settings come by environment; this file keeps every other one away.\n[defaults]\n"

static void
files_free(struct ansible_files *files)
{
    free(files->config);
    free(files->variables);
    free(files->playbook);
    free(files->inventory);
    free(files->report);
    control_free(&files->control);
}

/* The variables of the attempt below the one name `hler`, each string marked unsafe. */
static int
write_variables(const struct job *job, struct ansible_files *files)
{
    CLEANUP(json_cleanup) struct json_object *top = json_object_new_object();
    struct json_object *marked;
    struct json_error err;
    const char *text;
    size_t len;

    marked = unsafe_mark(job->vars, &err);
    if (marked == NULL)
        return job_fail(job, JOB_EXIT_NEVER, "not_allowed", "variables: %s", err.text);
    json_add(top, "hler", marked);
    text = json_text(top, &len);
    files->variables = job_file(job, "vars.json", text, len);
    files->config = job_file(job, "ansible.cfg", CONFIG_TEXT, sizeof CONFIG_TEXT - 1);
    return files->variables == NULL || files->config == NULL ? JOB_EXIT_FAILED : 0;
}

/* Hosts by name; localhost is this machine itself, as without any inventory. */
static char *
write_hosts(const struct job *job, struct json_object *hosts)
{
    CLEANUP(buf_free) struct buf text = {0};

    for (size_t i = 0; i < json_object_array_length(hosts); i++) {
        const char *host = json_object_get_string(json_object_array_get_idx(hosts, i));

        buf_puts(&text, host);
        if (strcmp(host, "localhost") == 0)
            buf_puts(&text, " ansible_connection=local"
                            " ansible_python_interpreter='{{ ansible_playbook_python }}'");
        buf_puts(&text, "\n");
    }
    return job_file(job, "hosts.ini", text.data, text.len);
}

static int
find_files(const struct job *job, const struct ansible_spec *spec, struct ansible_files *files)
{
    const char *inventory = json_object_get_string(spec->inventory);

    files->playbook = roots_file(job->roots, spec->playbook);
    if (files->playbook == NULL)
        return job_fail(job, JOB_EXIT_NEVER, "not_allowed", "playbook %s: %s", spec->playbook,
                        roots_why(errno));
    if (json_object_is_type(spec->inventory, json_type_array)) {
        files->inventory = write_hosts(job, spec->inventory);
        return files->inventory == NULL ? JOB_EXIT_FAILED : 0;
    }
    files->inventory = roots_file(job->roots, inventory);
    if (files->inventory == NULL)
        return job_fail(job, JOB_EXIT_NEVER, "not_allowed", "inventory %s: %s", inventory,
                        roots_why(errno));
    return 0;
}

static void
add_joined(struct words *argv, const char *option, struct json_object *list)
{
    CLEANUP(buf_free) struct buf text = {0};

    if (list == NULL || json_object_array_length(list) == 0)
        return;
    for (size_t i = 0; i < json_object_array_length(list); i++)
        buf_printf(&text, "%s%s", i == 0 ? "" : ",",
                   json_object_get_string(json_object_array_get_idx(list, i)));
    words_add(argv, "%s=%s", option, text.data);
}

static void
arguments(const char *tool, const struct ansible_spec *spec, const struct ansible_files *files,
          struct words *argv)
{
    words_add(argv, "%s", tool);
    words_add(argv, "--inventory=%s", files->inventory);
    words_add(argv, "--extra-vars=@%s", files->variables);
    add_joined(argv, "--tags", spec->tags);
    add_joined(argv, "--skip-tags", spec->skip_tags);
    if (spec->limit != NULL)
        words_add(argv, "--limit=%s", spec->limit);
    if (spec->forks > 0)
        words_add(argv, "--forks=%lld", (long long)spec->forks);
    if (spec->verbosity > 0)
        words_add(argv, "-%.*s", (int)spec->verbosity, "vvv");
    if (spec->check)
        words_add(argv, "--check");
    words_add(argv, "--");
    words_add(argv, "%s", files->playbook);
}

/* Pass stderr on, and keep the first error that Ansible itself reports. */
static void
stderr_line(void *ctx, char *text, size_t len)
{
    static const char *const marks[] = {"ERROR! ", "[ERROR]: "};
    struct buf *first = ctx;

    fwrite(text, 1, len, stderr);
    fputc('\n', stderr);
    for (size_t i = 0; first->len == 0 && i < ARRAY_LEN(marks); i++)
        if (strncmp(text, marks[i], strlen(marks[i])) == 0)
            buf_puts(first, text + strlen(marks[i]));
}

/* What set_stats left behind, as outputs of the task. */
static int
write_outputs(const struct job *job, struct json_object *report)
{
    struct json_object *outputs = json_object_object_get(report, "outputs");

    if (!json_object_is_type(outputs, json_type_object))
        return 0;
    json_object_object_foreach(outputs, name, value)
    {
        if (job_output(job, name, value) == -1)
            return job_fail(job, JOB_EXIT_FAILED, NULL, "HLER_OUTPUTS: %s", strerror(errno));
    }
    return 0;
}

static int
conclude(const struct job *job, int code, const struct ansible_report *report, const char *error)
{
    switch (ansible_judge(code, report)) {
    case ANSIBLE_DONE:
        return 0;
    case ANSIBLE_UNREACHABLE:
        return job_fail(job, JOB_EXIT_LATER, "unreachable", "%s is unreachable, task %s: %s",
                        report->host, report->task == NULL ? "?" : report->task,
                        report->message == NULL ? "" : report->message);
    case ANSIBLE_NO_HOSTS:
        return job_fail(job, JOB_EXIT_FAILED, "no_hosts",
                        "no host was reached: no match, or nothing to do there");
    case ANSIBLE_BROKEN:
        return job_fail(job, JOB_EXIT_NEVER, NULL, "ansible-playbook exit %d: %s", code,
                        error == NULL ? "the playbook or an option is wrong" : error);
    case ANSIBLE_UNSEEN:
        return job_fail(job, JOB_EXIT_NEVER, NULL,
                        "no word from the callback aegir.hler.events: is HLER_COLLECTIONS right?");
    case ANSIBLE_INTERRUPTED:
        return job_fail(job, JOB_EXIT_FAILED, NULL, "stopped");
    case ANSIBLE_FAILED:
        break;
    }
    if (report->host != NULL)
        return job_fail(job, JOB_EXIT_FAILED, NULL, "%s, task %s: %s", report->host,
                        report->task == NULL ? "?" : report->task,
                        report->message == NULL ? "failed" : report->message);
    return job_fail(job, JOB_EXIT_FAILED, NULL, "ansible-playbook exit %d: %s", code,
                    error == NULL ? "see its output" : error);
}

/* Read the callback's report and say how it went. */
static int
judge(const struct job *job, int code, const char *path, const char *error)
{
    CLEANUP(json_cleanup) struct json_object *object = NULL;
    CLEANUP(buf_free) struct buf text = {0};
    struct ansible_report report;
    struct json_error err;
    int end;

    if (file_read(AT_FDCWD, path, REPORT_BYTES_MAX, &text) == 0 &&
        (object = json_parse(text.data, text.len, &err)) == NULL)
        return job_fail(job, JOB_EXIT_FAILED, NULL, "report of the callback: %s", err.text);
    ansible_report_read(object, &report);
    end = conclude(job, code, &report, error);
    return end == 0 ? write_outputs(job, object) : end;
}

static int
run(const struct job *job, const struct ansible_spec *spec, struct ansible_files *files)
{
    CLEANUP(words_free) struct words argv = {0};
    CLEANUP(words_free) struct words envp = {0};
    CLEANUP(buf_free) struct buf error = {0};
    CLEANUP(mem_cleanup) char *tool = child_find("ansible-playbook");
    struct child child = {.stop_group = true, .err_line = stderr_line, .ctx = &error};
    int code;

    if (tool == NULL)
        return job_fail(job, JOB_EXIT_NEVER, NULL, "ansible-playbook is not installed");
    arguments(tool, spec, files, &argv);
    ansible_env(job, spec, files, &envp);
    child.argv = argv.list;
    child.envp = envp.list;
    if (child_stopped())
        return job_fail(job, JOB_EXIT_FAILED, NULL, "stopped");
    code = child_run(&child);
    if (code == -1)
        return job_fail(job, JOB_EXIT_LATER, NULL, "%s: %s", tool, strerror(errno));
    return judge(job, code, files->report, error.data);
}

int
ansible_run(const struct job *job)
{
    CLEANUP(files_free) struct ansible_files files = {0};
    CLEANUP(buf_free) struct buf faults = {0};
    struct ansible_spec spec;
    int code;

    if (ansible_spec_read(job->spec, &spec, &faults) > 0)
        return job_fail(job, JOB_EXIT_NEVER, "spec_invalid", "spec: %s", faults.data);
    code = find_files(job, &spec, &files);
    if (code == 0)
        code = write_variables(job, &files);
    if (code != 0)
        return code;
    files.report = mem_printf("%s/report.json", job->cwd);
    if (control_make(&files.control) == -1)
        return job_fail(job, JOB_EXIT_LATER, NULL, "directory for ssh: %s", strerror(errno));
    return run(job, &spec, &files);
}
