/* The FIFO through which the bridge stops an attempt or renews its lease. */
#include "worker/runner/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/guard.h"
#include "common/log.h"

#define S_NS INT64_C(1000000000)
#define CONTROL_MS_MAX (100 * REQUEST_LEASE_MAX_MS) /* a time since boot, too */

/* CLOCK_BOOTTIME, as a lease runs on while the machine sleeps; a point in time, as a line that was
 * read late must not prolong it. */
void
run_control_lease(struct runner *r, int64_t until_ns)
{
    struct itimerspec at = {.it_value = {.tv_sec = until_ns / S_NS, .tv_nsec = until_ns % S_NS}};

    if (guard_is_on("lease") && timerfd_settime(r->lease, TFD_TIMER_ABSTIME, &at, NULL) == -1)
        log_err("lease until %lld ns: %m", (long long)until_ns);
}

bool
run_control_lease_is_over(const struct runner *r)
{
    struct itimerspec left;

    return guard_is_on("lease") && r->request->lease_ms > 0 &&
           timerfd_gettime(r->lease, &left) == 0 && left.it_value.tv_sec == 0 &&
           left.it_value.tv_nsec == 0;
}

/* " 1500" up to the end of the line. */
static bool
parse_ms(const char *text, int64_t *out)
{
    char *end;

    if (text[0] != ' ' || text[1] < '0' || text[1] > '9')
        return false;
    errno = 0;
    *out = strtoll(text + 1, &end, 10);
    return errno == 0 && *end == '\0' && *out <= CONTROL_MS_MAX;
}

/* The rest of line behind prefix, or NULL. */
static const char *
behind(const char *line, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(line, prefix, len) == 0 ? line + len : NULL;
}

static void
obey(struct runner *r, const char *line)
{
    static const struct {
        const char *prefix;
        enum journal_cause cause;
    } stops[] = {{"stop cancelled", END_CANCELLED}, {"stop superseded", END_SUPERSEDED}};
    const char *lease = behind(line, "lease");
    int64_t ms;

    if (lease != NULL && parse_ms(lease, &ms)) {
        if (r->request->lease_ms > 0) /* one that is not enforced at the start stays so */
            run_control_lease(r, ms > 0 ? ms * CLOCK_MS_NS : 1);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
        const char *grace = behind(line, stops[i].prefix);

        if (grace != NULL && parse_ms(grace, &ms)) {
            /* The line has the task's; the request has the executor's, too, if that is longer. */
            if (stops[i].cause == END_CANCELLED && ms < r->request->grace_ms)
                ms = r->request->grace_ms;
            run_stop(r, stops[i].cause, ms);
            return;
        }
    }
    log_warn("attempt=%s control line not understood", r->request->dir);
}

static void
take_byte(struct runner *r, char c)
{
    struct runner_control *in = &r->control;

    if (c != '\n') {
        if (in->len < sizeof in->line - 1)
            in->line[in->len++] = c;
        else
            in->skip = true;
        return;
    }
    in->line[in->len] = '\0';
    if (in->skip)
        log_warn("attempt=%s overlong control line", r->request->dir);
    else
        obey(r, in->line);
    in->len = 0;
    in->skip = false;
}

void
run_control_read(struct runner *r)
{
    char text[256];
    ssize_t n = read(r->control.fd, text, sizeof text);

    if (n == -1 && errno != EAGAIN && errno != EINTR)
        log_err("attempt=%s control: %m", r->request->dir);
    for (ssize_t i = 0; i < n; i++)
        take_byte(r, text[i]);
}
