#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/resident.h"

/* resident: what goes can be read again, and what was written stays. */

#define PAGE 4096u
#define WORDS 2048

/* Far from all that runs meanwhile: constants of their own pages, in the file. */
static const volatile uint32_t constants[WORDS] = {[0] = 1, [WORDS / 2] = 2, [WORDS - 1] = 3};
/* Written by the loader, and read-only since. */
static const char *const relocated[] = {"one", "two", "three"};
static uint32_t written[WORDS];

/* KiB in memory of the mapping that has this address. */
static long
resident_kib(const volatile void *address)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    uintptr_t from, to, at = (uintptr_t)address;
    char line[512];
    bool inside = false;
    long kib = -1;

    assert_non_null(f);
    while (kib == -1 && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = from <= at && at < to;
        else if (inside)
            (void)sscanf(line, "Rss: %ld", &kib);
    }
    fclose(f);
    assert_int_not_equal(kib, -1);
    return kib;
}

static uint32_t
sum(const volatile uint32_t *words)
{
    uint32_t total = 0;

    for (size_t i = 0; i < WORDS; i++)
        total += words[i];
    return total;
}

/* Every page of an object that cannot be written: the loader's own view of all libraries. */
static int
read_all(struct dl_phdr_info *object, size_t size, void *ctx)
{
    uint32_t *total = ctx;

    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        const volatile unsigned char *bytes =
            (const volatile unsigned char *)(object->dlpi_addr + header->p_vaddr);

        if (header->p_type != PT_LOAD || (header->p_flags & PF_W) != 0)
            continue;
        for (size_t at = 0; at < header->p_memsz; at += PAGE)
            *total += bytes[at];
    }
    return 0;
}

static void
test_release(void **state)
{
    uint32_t total = 0, again = 0;
    void *heap = malloc(PAGE);
    long before;

    (void)state;
    assert_non_null(heap);
    memset(heap, 'h', PAGE);
    memset(written, 1, sizeof written);
    dl_iterate_phdr(read_all, &total);
    before = resident_kib(constants) + resident_kib((const void *)(uintptr_t)qsort);
    resident_release();
    assert_true(resident_kib(constants) + resident_kib((const void *)(uintptr_t)qsort) < before);
    assert_int_equal(sum(constants), 6);
    assert_string_equal(relocated[0], "one");
    assert_string_equal(relocated[2], "three");
    assert_int_equal(sum(written), (uint32_t)WORDS * 0x01010101u);
    assert_memory_equal(heap, "hhhh", 4);
    dl_iterate_phdr(read_all, &again);
    assert_int_equal(again, total);
    free(heap);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
