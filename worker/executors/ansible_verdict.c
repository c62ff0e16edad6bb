#include "worker/executors/ansible_verdict.h"

/* Exit codes of ansible-playbook (lib/ansible/cli/__init__.py and executor/task_queue_manager.py). */
#define EXIT_UNREACHABLE_OR_PARSER 4
#define EXIT_OPTIONS 5
#define EXIT_NOT_UTF8 6
#define EXIT_INTERRUPTED 99
#define EXIT_SIGINT 130

#define COUNT_MAX INT32_MAX /* of one host: sums of any number of hosts stay far below 2^63 */

/* The report is a file that the playbook can write, too: any number may stand there. */
static int64_t
count(struct json_object *summary, const char *key)
{
    int64_t n = json_object_get_int64(json_object_object_get(summary, key));

    if (n < 0)
        return 0;
    return n < COUNT_MAX ? n : COUNT_MAX;
}

static const char *
text(struct json_object *object, const char *key)
{
    return json_object_get_string(json_object_object_get(object, key));
}

static void
read_stats(struct json_object *stats, struct json_object *failures, struct ansible_report *out)
{
    json_object_object_foreach(stats, host, summary)
    {
        struct json_object *failure = json_object_object_get(failures, host);

        out->ok += count(summary, "ok");
        out->failures += count(summary, "failures");
        out->unreachable += count(summary, "unreachable");
        if (out->host == NULL && count(summary, "failures") + count(summary, "unreachable") > 0) {
            out->host = host;
            out->task = text(failure, "task");
            out->message = text(failure, "msg");
        }
    }
}

void
ansible_report_read(struct json_object *object, struct ansible_report *out)
{
    struct json_object *stats = json_object_object_get(object, "stats");

    *out = (struct ansible_report){
        .started = json_object_get_boolean(json_object_object_get(object, "started")),
        .stats = json_object_is_type(stats, json_type_object)};
    if (out->stats)
        read_stats(stats, json_object_object_get(object, "failures"), out);
}

enum ansible_end
ansible_judge(int exit_code, const struct ansible_report *report)
{
    if (exit_code == EXIT_INTERRUPTED || exit_code == EXIT_SIGINT)
        return ANSIBLE_INTERRUPTED;
    if (report->failures > 0)
        return ANSIBLE_FAILED;
    if (report->unreachable > 0)
        return ANSIBLE_UNREACHABLE;
    if (exit_code == 0 && !report->started)
        return ANSIBLE_UNSEEN;
    if (exit_code == 0)
        return report->ok > 0 ? ANSIBLE_DONE : ANSIBLE_NO_HOSTS;
    if (exit_code == EXIT_OPTIONS || exit_code == EXIT_NOT_UTF8 ||
        (exit_code == EXIT_UNREACHABLE_OR_PARSER && !report->started))
        return ANSIBLE_BROKEN;
    return ANSIBLE_FAILED;
}
