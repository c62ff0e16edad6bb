/* The report of the ansible callback, and what is made of it.  The first byte is the exit code. */
#include "common/json.h"
#include "tests/fuzz/fuzz.h"
#include "worker/executors/ansible_verdict.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(json_cleanup) struct json_object *object = NULL;
    struct ansible_report report;
    struct json_error err;

    if (size == 0)
        return 0;
    object = json_parse((const char *)data + 1, size - 1, &err);
    ansible_report_read(object, &report);
    fuzz_check(report.ok >= 0 && report.failures >= 0 && report.unreachable >= 0);
    if (ansible_judge(data[0], &report) == ANSIBLE_DONE)
        fuzz_check(data[0] == 0 && report.ok > 0 && report.failures == 0 &&
                   report.unreachable == 0 && report.host == NULL);
    return 0;
}
