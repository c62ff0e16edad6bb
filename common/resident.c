/* Pages let go by madvise(), segment by segment as the loader knows them. */
#include "common/resident.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"

/* Text that was relocated in place exists nowhere else. */
static bool
has_text_relocations(const struct dl_phdr_info *object)
{
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        const ElfW(Dyn) * entry;

        if (header->p_type != PT_DYNAMIC)
            continue;
        entry = (const ElfW(Dyn) *)(object->dlpi_addr + header->p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++)
            if (entry->d_tag == DT_TEXTREL ||
                (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0))
                return true;
    }
    return false;
}

static void
release_segment(uintptr_t start, size_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = start & ~(page - 1), to = (start + len + page - 1) & ~(page - 1);

    if (madvise((void *)from, to - from, MADV_DONTNEED) == -1)
        log_debug("madvise: %m"); /* then they stay */
}

/* What is never writable: code, constants, tables of the loader.  Not what was made read-only after
 * its relocation, which belongs to a writable segment. */
static int
release_object(struct dl_phdr_info *object, size_t size, void *ctx)
{
    bool in_memory_only =
        object->dlpi_name[0] != '\0' && object->dlpi_name[0] != '/'; /* the vdso */

    (void)size;
    (void)ctx;
    if (in_memory_only || has_text_relocations(object))
        return 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];

        if (header->p_type == PT_LOAD && (header->p_flags & PF_W) == 0)
            release_segment(object->dlpi_addr + header->p_vaddr, header->p_memsz);
    }
    return 0;
}

void
resident_release(void)
{
    mem_trim();
    (void)dl_iterate_phdr(release_object, NULL);
}
