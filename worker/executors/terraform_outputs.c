#include "worker/executors/terraform_outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker/executors/report.h"

static bool
is_sensitive(struct json_object *output)
{
    return json_object_get_boolean(json_object_object_get(output, "sensitive"));
}

bool
terraform_outputs_sensitive(struct json_object *outputs)
{
    if (!json_object_is_type(outputs, json_type_object))
        return false;
    json_object_object_foreach(outputs, name, output)
    {
        (void)name;
        if (is_sensitive(output))
            return true;
    }
    return false;
}

static int
send_one(const struct job *job, int report, const char *name, bool secret,
         struct json_object *value)
{
    const struct report_result result = {.uuid = job->target, .field = name, .secret = secret};
    char why[REPORT_WHY_SIZE];
    const char *text = value == NULL ? "null" : json_text(value, &(size_t){0});

    if (!secret && job_output(job, name, value) == -1)
        return job_fail(job, JOB_EXIT_FAILED, NULL, "applied, but HLER_OUTPUTS: %s",
                        strerror(errno));
    if (job->target == NULL) {
        if (secret)
            printf("output %s is sensitive and the operation has no target: not sent\n", name);
        return 0;
    }
    if (report_result(report, &result, text, strlen(text), why) == -1)
        return job_fail(job, JOB_EXIT_FAILED, NULL, "applied, but output %s: %s", name, why);
    return 0;
}

int
terraform_outputs_send(const struct job *job, int report, struct json_object *outputs,
                       struct json_object *values)
{
    if (!json_object_is_type(outputs, json_type_object))
        return 0;
    json_object_object_foreach(outputs, name, output)
    {
        bool secret = is_sensitive(output);
        struct json_object *from = secret ? json_object_object_get(values, name) : output;
        int code;

        if (!job_field_valid(name)) {
            printf("output %s is not sent: the name does not match [a-z][a-z0-9_]{0,62}\n", name);
            continue;
        }
        code = send_one(job, report, name, secret, json_object_object_get(from, "value"));
        if (code != 0)
            return code;
    }
    return 0;
}
