/* A settings file, with a table that has each type of key. */
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/config_text.h"
#include "tests/fuzz/fuzz.h"

#define NAME_MAX_BYTES 20
#define ITEM_MAX_BYTES 30

struct values {
    char *name, **list;
    int64_t number;
    bool on;
};

static const struct config_key table[] = {
    {"name", CONFIG_STRING, offsetof(struct values, name), 0, NAME_MAX_BYTES, "x", "A string."},
    {"broker.port", CONFIG_INT, offsetof(struct values, number), 1, UINT16_MAX, "5672",
     "A number."},
    {"broker.on", CONFIG_BOOL, offsetof(struct values, on), 0, 0, "true", "A switch."},
    {"list", CONFIG_STRINGS, offsetof(struct values, list), 0, ITEM_MAX_BYTES, "a:b", "A list."},
};

/* What was made safe stays as it is. */
static void
check_prepare(const char *text, size_t len)
{
    CLEANUP(buf_free) struct buf once = {0};
    CLEANUP(buf_free) struct buf twice = {0};
    struct config_text_fault fault;

    if (config_text_prepare(text, len, &once, &fault) == -1)
        return;
    fuzz_check(once.len >= len);
    fuzz_check(config_text_prepare(once.data, once.len, &twice, &fault) == 0);
    fuzz_check(once.len == twice.len &&
               (once.len == 0 || memcmp(once.data, twice.data, once.len) == 0));
}

static void
check_load(const char *path)
{
    struct values values = {0};

    if (config_load(path, table, ARRAY_LEN(table), &values) == 0) {
        fuzz_check(strlen(values.name) <= NAME_MAX_BYTES);
        fuzz_check(values.number >= 1 && values.number <= UINT16_MAX);
        for (char **item = values.list; *item != NULL; item++)
            fuzz_check(strlen(*item) <= ITEM_MAX_BYTES);
    }
    config_free(table, ARRAY_LEN(table), &values);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];
    CLEANUP(buf_free) struct buf text = {0};

    if (fd == -1) {
        fd = memfd_create("conf", MFD_CLOEXEC);
        fuzz_check(fd != -1 && fchmod(fd, S_IRUSR | S_IWUSR) == 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    buf_add(&text, data, size);
    check_prepare(text.data, text.len);
    fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
    check_load(path);
    return 0;
}
