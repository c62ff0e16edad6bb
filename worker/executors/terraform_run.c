#include "worker/executors/terraform_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "worker/executors/child.h"
#include "worker/executors/report.h"
#include "worker/executors/roots.h"
#include "worker/executors/terraform_outputs.h"
#include "worker/executors/terraform_spec.h"
#include "worker/executors/terraform_stream.h"
#include "worker/executors/words.h"

/* One run: init, apply, and `output` when an output is sensitive.  Nothing is written into the
 * module's directory. */

#define LOCK_TIMEOUT "10s"
#define OUTPUT_BYTES_MAX (4u * 1024u * 1024u)
#define CONFIG_TEXT "# None: providers and credentials come with the module.\n"

struct run {
    const struct job *job;
    struct terraform_spec spec;
    struct terraform_stream stream;
    struct words envp;
    char *tool, *dir, *data, *variables, *state;
    bool has_backend;
};

static const char *const settings[] = {
    "TF_IN_AUTOMATION=1", "TF_INPUT=0",     "CHECKPOINT_DISABLE=1",
    "LANG=C.UTF-8",       "LC_ALL=C.UTF-8", "TERM=dumb",
};

static void
run_free(struct run *run)
{
    file_cleanup_close(&run->stream.report);
    terraform_stream_free(&run->stream);
    words_free(&run->envp);
    free(run->tool);
    free(run->dir);
    free(run->data);
    free(run->variables);
    free(run->state);
}

/* Inputs are data in a variables file: Terraform evaluates nothing in them. */
static char *
write_variables(const struct job *job, const char *from)
{
    CLEANUP(json_cleanup) struct json_object *top = json_object_new_object();
    struct json_object *inputs = json_object_object_get(job->vars, "inputs");
    const char *text;
    size_t len;

    if (strcmp(from, "hler") == 0) {
        json_add(top, "hler", json_object_get(job->vars));
    } else if (strcmp(from, "inputs") == 0 && inputs != NULL) {
        json_object_put(top);
        top = json_object_get(inputs);
    }
    text = json_text(top, &len);
    return job_file(job, "hler.tfvars.json", text, len);
}

static int
make_environment(struct run *run)
{
    const struct job *job = run->job;
    CLEANUP(mem_cleanup)
    char *config = job_file(job, "terraform.rc", CONFIG_TEXT, sizeof CONFIG_TEXT - 1);

    run->variables = write_variables(job, run->spec.vars_from);
    if (config == NULL || run->variables == NULL)
        return JOB_EXIT_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        words_add(&run->envp, "%s", settings[i]);
    words_inherit(&run->envp, "PATH");
    words_inherit(&run->envp, "HLER_*");
    words_add(&run->envp, "HOME=%s", job->home);
    words_add(&run->envp, "TMPDIR=%s", job->tmp);
    words_add(&run->envp, "TF_CLI_CONFIG_FILE=%s", config);
    words_add(&run->envp, "TF_DATA_DIR=%s", run->data);
    return 0;
}

/* Modules that declare no backend keep their state below HLER_STATE, one file for an entity and a
 * module, since the private directory goes with the attempt. */
static int
find_state(struct run *run)
{
    const struct job *job = run->job;
    const char *base = getenv("HLER_STATE");
    const char *owner = job->target == NULL ? job->operation : job->target;
    CLEANUP(mem_cleanup) char *module = mem_dup(run->spec.dir);
    CLEANUP(mem_cleanup) char *backend = mem_printf("%s/terraform.tfstate", run->data);
    CLEANUP(mem_cleanup) char *folder = NULL;

    run->has_backend = access(backend, F_OK) == 0;
    if (run->has_backend)
        return 0;
    if (base == NULL || base[0] != '/')
        return job_fail(job, JOB_EXIT_NEVER, NULL,
                        "the module declares no backend and HLER_STATE is not set");
    for (char *p = module; *p != '\0'; p++)
        if (*p == '/')
            *p = '+';
    folder = mem_printf("%s/terraform/%s", base, owner);
    if (file_mkdirs(folder) == -1)
        return job_fail(job, JOB_EXIT_LATER, NULL, "state %s: %s", folder, strerror(errno));
    run->state = mem_printf("%s/%s.tfstate", folder, module);
    return 0;
}

static int
run_tool(struct run *run, struct words *argv, child_line *out, child_line *err, void *ctx)
{
    struct child child = {
        .argv = argv->list, .envp = run->envp.list, .out_line = out, .err_line = err, .ctx = ctx};
    int code;

    if (child_stopped())
        return job_fail(run->job, JOB_EXIT_FAILED, NULL, "stopped");
    fflush(stdout);
    code = child_run(&child);
    if (code == -1)
        return job_fail(run->job, JOB_EXIT_LATER, NULL, "%s: %s", run->tool, strerror(errno));
    return code;
}

/* The tool ended with this code: say so in one line. */
static int
failed(const struct run *run, const char *step, int code)
{
    const char *why = run->stream.error.len > 0 ? run->stream.error.data : "see its output";

    if (child_stopped())
        return job_fail(run->job, JOB_EXIT_FAILED, NULL, "stopped: %s", why);
    return job_fail(run->job, run->stream.locked ? JOB_EXIT_LATER : JOB_EXIT_FAILED, NULL,
                    "%s %s, exit %d: %s", run->spec.binary, step, code, why);
}

static int
init(struct run *run)
{
    CLEANUP(words_free) struct words argv = {0};
    CLEANUP(mem_cleanup) char *lock = mem_printf("%s/.terraform.lock.hcl", run->dir);
    int code;

    words_add(&argv, "%s", run->tool);
    words_add(&argv, "-chdir=%s", run->dir);
    words_add(&argv, "init");
    words_add(&argv, "-input=false");
    words_add(&argv, "-no-color");
    if (access(lock, F_OK) == 0)
        words_add(&argv, "-lockfile=readonly");
    code = run_tool(run, &argv, NULL, terraform_stream_text, &run->stream);
    return code == 0 ? 0 : failed(run, "init", code);
}

/* Known only after init, which must not see a workspace that does not exist yet. */
static void
set_workspace(struct run *run)
{
    const char *name = run->spec.workspace;

    if (name != NULL && strcmp(name, "@target") == 0)
        name = run->job->target;
    if (name != NULL)
        words_add(&run->envp, "TF_WORKSPACE=%s", name);
}

static int
apply(struct run *run)
{
    CLEANUP(words_free) struct words argv = {0};
    int code;

    words_add(&argv, "%s", run->tool);
    words_add(&argv, "-chdir=%s", run->dir);
    words_add(&argv, "apply");
    if (run->spec.destroy)
        words_add(&argv, "-destroy");
    words_add(&argv, "-input=false");
    words_add(&argv, "-auto-approve");
    words_add(&argv, "-json");
    words_add(&argv, "-lock-timeout=" LOCK_TIMEOUT);
    words_add(&argv, "-var-file=%s", run->variables);
    if (run->state != NULL) {
        words_add(&argv, "-state=%s", run->state);
        words_add(&argv, "-backup=-");
    }
    code = run_tool(run, &argv, terraform_stream_line, terraform_stream_text, &run->stream);
    return code == 0 ? 0 : failed(run, "apply", code);
}

static void
collect_line(void *ctx, char *text, size_t len)
{
    struct buf *all = ctx;

    if (all->len + len < OUTPUT_BYTES_MAX)
        buf_add(all, text, len);
}

/* The values of all outputs, sensitive ones too: read, never shown. */
static int
read_outputs(struct run *run, struct json_object **values)
{
    CLEANUP(words_free) struct words argv = {0};
    CLEANUP(buf_free) struct buf text = {0};
    struct json_error err;
    int code;

    words_add(&argv, "%s", run->tool);
    words_add(&argv, "-chdir=%s", run->dir);
    words_add(&argv, "output");
    words_add(&argv, "-json");
    if (run->state != NULL)
        words_add(&argv, "-state=%s", run->state);
    code = run_tool(run, &argv, collect_line, NULL, &text);
    if (code != 0)
        return failed(run, "output", code);
    *values = json_parse(text.data == NULL ? "" : text.data, text.len, &err);
    if (*values == NULL)
        return job_fail(run->job, JOB_EXIT_FAILED, NULL, "applied, but outputs: %s", err.text);
    return 0;
}

static int
send_outputs(struct run *run)
{
    CLEANUP(json_cleanup) struct json_object *values = NULL;
    struct json_object *outputs = run->stream.outputs;
    int code = 0;

    if (run->stream.outputs_unread)
        return job_fail(run->job, JOB_EXIT_FAILED, NULL,
                        "applied, but an output is not JSON that can be sent, see the log");
    if (terraform_outputs_sensitive(outputs))
        code = read_outputs(run, &values);
    if (code == 0)
        code = terraform_outputs_send(run->job, run->stream.report, outputs, values);
    return code;
}

static int
prepare(struct run *run)
{
    static const char *const suffixes[] = {".tf",          ".tf.json",  ".tfvars",
                                           ".tfvars.json", ".lock.hcl", NULL};
    const struct job *job = run->job;

    if (run->spec.workspace != NULL && strcmp(run->spec.workspace, "@target") == 0 &&
        job->target == NULL)
        return job_fail(job, JOB_EXIT_NEVER, NULL, "workspace @target: the operation has none");
    run->dir = roots_dir(job->roots, run->spec.dir, suffixes);
    if (run->dir == NULL)
        return job_fail(job, JOB_EXIT_NEVER, "not_allowed", "module %s: %s", run->spec.dir,
                        roots_why(errno));
    run->tool = child_find(run->spec.binary);
    if (run->tool == NULL)
        return job_fail(job, JOB_EXIT_NEVER, NULL, "%s is not installed", run->spec.binary);
    if (job->socket != NULL && (run->stream.report = report_open(job->socket)) == -1)
        return job_fail(job, JOB_EXIT_LATER, NULL, "cannot reach the runner: %s", strerror(errno));
    run->data = mem_printf("%s/terraform.d", job->cwd);
    return make_environment(run);
}

int
terraform_run(const struct job *job)
{
    CLEANUP(run_free) struct run run = {.job = job, .stream.report = -1};
    CLEANUP(buf_free) struct buf faults = {0};
    int code;

    if (terraform_spec_read(job->spec, &run.spec, &faults) > 0)
        return job_fail(job, JOB_EXIT_NEVER, "spec_invalid", "spec: %s", faults.data);
    code = prepare(&run);
    if (code == 0)
        code = init(&run);
    if (code == 0)
        code = find_state(&run);
    if (code != 0)
        return code;
    set_workspace(&run);
    code = apply(&run);
    return code == 0 ? send_outputs(&run) : code;
}
