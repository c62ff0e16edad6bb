/* Packing and unpacking of what the bridge asks the spawner.  Unpacking trusts nothing and
 * allocates nothing. */
#include "worker/runner/request.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/clock.h"

struct packer {
    char *out;
    size_t len;
    bool full;
};

static void
pack_string(struct packer *p, const char *s)
{
    size_t len = strlen(s) + 1;

    if (p->full || len > REQUEST_MAX - p->len) {
        p->full = true;
        return;
    }
    memcpy(p->out + p->len, s, len);
    p->len += len;
}

static uint32_t
pack_list(struct packer *p, char *const *list)
{
    uint32_t n = 0;

    while (list != NULL && list[n] != NULL)
        pack_string(p, list[n++]);
    return n;
}

size_t
request_pack(const struct request *r, void *out)
{
    struct request_head head = {.magic = REQUEST_MAGIC,
                                .stop_signal = r->stop_signal,
                                .stop_group = r->stop_group,
                                .deadline_ms = r->deadline_ms,
                                .idle_ms = r->idle_ms,
                                .grace_ms = r->grace_ms,
                                .lease_ms = r->lease_ms,
                                .lease_from_ns = r->lease_from_ns,
                                .listen_ms = r->listen_ms,
                                .output_bytes = r->output_bytes};
    struct packer p = {out, sizeof head, false};

    pack_string(&p, r->dir);
    pack_string(&p, r->cwd == NULL ? "" : r->cwd);
    head.argc = pack_list(&p, r->argv);
    head.envc = pack_list(&p, r->envp);
    if (p.full || (uint64_t)head.argc + head.envc + 2 > REQUEST_STRINGS) {
        errno = E2BIG;
        return 0;
    }
    memcpy(out, &head, sizeof head);
    return p.len;
}

struct unpacker {
    char *at, *end;
};

/* The next string, or NULL when its NUL is missing. */
static char *
unpack_string(struct unpacker *u)
{
    char *s = u->at;
    char *nul = memchr(s, '\0', (size_t)(u->end - s));

    if (nul == NULL)
        return NULL;
    u->at = nul + 1;
    return s;
}

static int
unpack_list(struct unpacker *u, uint32_t n, char **slots)
{
    for (uint32_t i = 0; i < n; i++) {
        slots[i] = unpack_string(u);
        if (slots[i] == NULL)
            return -1;
    }
    slots[n] = NULL;
    return 0;
}

static bool
head_is_sane(const struct request_head *h, size_t slots)
{
    return h->magic == REQUEST_MAGIC && (uint64_t)h->argc + h->envc + 2 <= slots &&
           h->stop_group <= 1 && h->reserved == 0 && h->stop_signal > 0 && h->stop_signal < NSIG &&
           h->deadline_ms >= 0 && h->idle_ms >= 0 && h->grace_ms >= 0 && h->lease_ms >= 0 &&
           h->lease_ms <= REQUEST_LEASE_MAX_MS && h->lease_from_ns >= 0 &&
           h->lease_from_ns <= INT64_MAX - REQUEST_LEASE_MAX_MS * CLOCK_MS_NS &&
           h->listen_ms >= 0 && h->listen_ms <= REQUEST_LISTEN_MAX_MS;
}

/* One plain name: the attempt's directory is an entry of the spool, nothing else. */
static bool
dir_is_sane(const char *dir)
{
    return dir[0] != '\0' && dir[0] != '.' && strchr(dir, '/') == NULL &&
           strlen(dir) < REQUEST_DIR_MAX;
}

static int
unpack(void *data, size_t len, struct request *r, char **slots, size_t n)
{
    struct unpacker u = {data, (char *)data + len};
    struct request_head h;

    if (len < sizeof h)
        return -1;
    memcpy(&h, data, sizeof h);
    u.at += sizeof h;
    if (!head_is_sane(&h, n))
        return -1;
    *r = (struct request){.dir = unpack_string(&u),
                          .deadline_ms = h.deadline_ms,
                          .idle_ms = h.idle_ms,
                          .grace_ms = h.grace_ms,
                          .lease_ms = h.lease_ms,
                          .lease_from_ns = h.lease_from_ns,
                          .listen_ms = h.listen_ms,
                          .output_bytes = h.output_bytes,
                          .stop_signal = h.stop_signal,
                          .stop_group = h.stop_group == 1};
    r->cwd = r->dir == NULL ? NULL : unpack_string(&u);
    r->argv = slots;
    r->envp = slots + h.argc + 1;
    if (r->cwd == NULL || unpack_list(&u, h.argc, r->argv) == -1 ||
        unpack_list(&u, h.envc, r->envp) == -1 || u.at != u.end)
        return -1;
    if (!dir_is_sane(r->dir) || (h.argc > 0 && r->argv[0][0] != '/') ||
        (r->cwd[0] != '\0' && r->cwd[0] != '/'))
        return -1;
    if (r->cwd[0] == '\0')
        r->cwd = NULL;
    return 0;
}

int
request_unpack(void *data, size_t len, struct request *r, char **slots, size_t n)
{
    if (unpack(data, len, r, slots, n) == 0)
        return 0;
    errno = EBADMSG;
    return -1;
}
