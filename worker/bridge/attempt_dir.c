/* Making, naming and reading the directory of an attempt. */
#include "worker/bridge/attempt_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "proto/limits.h"
#include "worker/bridge/environment.h"
#include "worker/bridge/executors.h"
#include "worker/runner/journal.h"

#define HEAD_BYTES UUID_TEXT_SIZE /* of an offer's file: the boot's id and a newline */
#define PATH_SIZE (IDENT_NAME_SIZE + 16)
#define FILE_MODE 0600
#define AHEAD 4

static char *
spare_name(size_t number, char out[static PATH_SIZE])
{
    snprintf(out, PATH_SIZE, ATTEMPT_DIR_PREPARED "spare.%zu", number);
    return out;
}

/* One that is there stays as it is. */
static int
make_file(int dir_fd, const char *name)
{
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    CLEANUP(file_cleanup_close) int fd = openat(dir_fd, name, flags, FILE_MODE);

    return fd == -1 ? -1 : 0;
}

/* Its files, too: to fill one costs less than to make it. */
static int
make_spare(struct spool *spool, struct done *done)
{
    char name[PATH_SIZE];
    CLEANUP(file_cleanup_close) int fd = done_dir(done, spool, spare_name(spool->spares, name));

    if (fd == -1 || make_file(fd, ATTEMPT_DIR_OFFER) == -1 || make_file(fd, ENVIRONMENT_VARS) == -1)
        return -1;
    spool->spares++;
    return 0;
}

int
attempt_dir_make_ahead(struct spool *spool, struct done *done)
{
    while (spool->spares < AHEAD)
        if (make_spare(spool, done) == -1)
            return -1;
    return 0;
}

/* Give one that was made ahead its name.  Returns its descriptor, or -1: there is none. */
static int
take_spare(struct spool *spool, const char *name)
{
    char spare[PATH_SIZE];

    if (spool->spares == 0)
        return -1;
    if (renameat(spool->dir_fd, spare_name(spool->spares - 1, spare), spool->dir_fd, name) == -1) {
        if (errno == ENOENT) /* somebody has removed it */
            spool->spares--;
        return -1;
    }
    spool->spares--;
    return openat(spool->dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static char *
prepared_name(const struct attempt *a, char out[static PATH_SIZE])
{
    snprintf(out, PATH_SIZE, ATTEMPT_DIR_PREPARED "%s", a->text);
    return out;
}

static bool
runs_program(const struct attempt *a)
{
    return strcmp(a->offer.executor, EXECUTORS_NONE) != 0;
}

/* What the program is told.  A file of its own, which it may spoil. */
static int
fill_for_program(const struct offer *offer, int fd)
{
    CLEANUP(buf_free) struct buf vars = {0};
    const char *spec;
    size_t spec_len;

    environment_vars(offer, &vars);
    if (file_fill(fd, ENVIRONMENT_VARS, FILE_MODE, vars.data, vars.len) == -1)
        return -1;
    if (!environment_has_spec(offer))
        return 0;
    spec = json_text(offer->spec, &spec_len);
    return file_fill(fd, ENVIRONMENT_SPEC, FILE_MODE, spec, spec_len);
}

static int
fill(const struct spool *spool, const struct attempt *a, int fd)
{
    CLEANUP(buf_free) struct buf offer = {0};

    buf_printf(&offer, "%s\n", spool->boot_id);
    buf_add(&offer, a->body, a->body_len);
    if (file_fill(fd, ATTEMPT_DIR_OFFER, FILE_MODE, offer.data, offer.len) == -1)
        return -1;
    return runs_program(a) ? fill_for_program(&a->offer, fd) : 0;
}

int
attempt_dir_prepare(struct spool *spool, struct done *done, struct attempt *a)
{
    CLEANUP(file_cleanup_close) int fd = -1;
    char name[PATH_SIZE];

    if (a->prepared)
        return 0;
    prepared_name(a, name);
    fd = take_spare(spool, name);
    if (fd == -1)
        fd = done_dir(done, spool, name);
    if (fd == -1 || fill(spool, a, fd) == -1)
        return -1;
    a->prepared = true;
    return 0;
}

int
attempt_dir_take(struct spool *spool, struct done *done, struct attempt *a)
{
    char name[PATH_SIZE];

    if (attempt_dir_prepare(spool, done, a) == -1)
        return -1;
    /* Fails where a directory of that name is not empty: one attempt is granted once. */
    if (renameat(spool->dir_fd, prepared_name(a, name), spool->dir_fd, a->text) == -1)
        return -1;
    a->prepared = false;
    return 0;
}

int
attempt_dir_remove(const struct spool *spool, struct attempt *a)
{
    char name[PATH_SIZE];

    a->prepared = false;
    /* It was never begun, or is of no use.  First, so that nobody takes what may be left for one that ran (adopt.c). */
    snprintf(name, sizeof name, "%s/" JOURNAL_FILE, a->text);
    (void)unlinkat(spool->dir_fd, name, 0);
    if (file_remove_tree(spool->dir_fd, prepared_name(a, name)) == -1 ||
        file_remove_tree(spool->dir_fd, a->text) == -1) {
        log_warn("attempt=%s: its directory cannot be removed, which is tried again: %m", a->text);
        return -1;
    }
    return 0;
}

bool
attempt_dir_is_prepared(const char *entry)
{
    return strncmp(entry, ATTEMPT_DIR_PREPARED, sizeof ATTEMPT_DIR_PREPARED - 1) == 0;
}

const char *
attempt_dir_text(const char *entry)
{
    return attempt_dir_is_prepared(entry) ? entry + sizeof ATTEMPT_DIR_PREPARED - 1 : entry;
}

/* The file's bytes; NULL after logging.  *head_len is that of the boot's id. */
static const char *
read_offer(int dir_fd, const char *text, struct buf *file, size_t *head_len)
{
    char path[PATH_SIZE];
    const char *newline;

    snprintf(path, sizeof path, "%.*s/" ATTEMPT_DIR_OFFER, IDENT_NAME_SIZE, text);
    if (file_read(dir_fd, path, LIMIT_MESSAGE_BYTES + HEAD_BYTES, file) == -1) {
        log_err("attempt=%s file=" ATTEMPT_DIR_OFFER ": %m", text);
        return NULL;
    }
    newline = file->len > 0 ? memchr(file->data, '\n', file->len) : NULL;
    if (newline == NULL) {
        log_err("attempt=%s file=" ATTEMPT_DIR_OFFER ": cut off", text);
        errno = EBADMSG;
        return NULL;
    }
    *head_len = (size_t)(newline - file->data);
    return file->data;
}

int
attempt_dir_offer(int dir_fd, const char *text, struct offer *out)
{
    CLEANUP(buf_free) struct buf file = {0};
    size_t head_len = 0;
    const char *bytes = read_offer(dir_fd, text, &file, &head_len);
    struct fault fault;

    if (bytes == NULL)
        return -1;
    if (offer_decode(bytes + head_len + 1, file.len - head_len - 1, out, &fault) == 0)
        return 0;
    log_err("attempt=%s file=" ATTEMPT_DIR_OFFER ": %s", text, fault.text);
    errno = EBADMSG;
    return -1;
}

bool
attempt_dir_other_boot(const struct spool *spool, const char *text)
{
    CLEANUP(buf_free) struct buf file = {0};
    size_t head_len = 0;
    const char *bytes = read_offer(spool->dir_fd, text, &file, &head_len);

    return bytes != NULL &&
           (head_len != strlen(spool->boot_id) || memcmp(bytes, spool->boot_id, head_len) != 0);
}
