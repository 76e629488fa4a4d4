/*
 * The application's address space: four levels of page tables and nothing beside them.
 *
 * There is no list of areas. A page that was promised but not touched is an entry that is not present and says in
 * software bits what it will be; so mmap, munmap, mprotect, mremap and brk are walks over entries, and their cost is
 * bounded by the pages they are about. All functions take page-aligned addresses in [USER_START, USER_END).
 */

#ifndef HOGNOSE_PAGING_H
#define HOGNOSE_PAGING_H

#include "machine.h"

/* As mmap has them. W and X together never reach these functions (syscall_memory.c, elf.c). */
#define PROT_READ 1
#define PROT_WRITE 2
#define PROT_EXEC 4

#define PTE_PRESENT 1ul
#define PTE_WRITE 2ul
#define PTE_USER 4ul
#define PTE_LARGE 0x80ul
#define PTE_OWNED 0x200ul /* software: the frame is freed with the page; else it belongs to the payload */
#define PTE_NX (1ul << 63)
#define PTE_FRAME 0xffffffffff000ul

/* Use this PML4 (its low entry maps the nano-kernel) for all that follows. */
void space_init(phys_t pml4);

/* True when no page of the range is mapped. */
bool space_is_free(uint64_t address, size_t pages);

/* The lowest free range of `pages` pages at or above `from`, below `limit`; 0 when there is none. */
uint64_t space_find(uint64_t from, uint64_t limit, size_t pages);

/*
 * Promise zero pages; the range must be free and the pages committed. 0, or -ENOMEM when page tables run out (then
 * nothing is mapped).
 */
int space_reserve(uint64_t address, size_t pages, int prot);

/* Map one frame; owned: it is freed when unmapped. 0 or -ENOMEM. */
int space_map(uint64_t address, phys_t frame, int prot, bool owned);

/* Unmap whatever is in the range; the number of promised pages that it held, for memory_uncommit. */
size_t space_unmap(uint64_t address, size_t pages);

/*
 * Change the protection; -ENOMEM when a page of the range is not mapped, -EACCES when one of the payload's is to be
 * written to. Those before it are changed then, as in Linux.
 */
int space_protect(uint64_t address, size_t pages, int prot);

/* Move a mapping to a free range. 0, or -ENOMEM when page tables run out or a source page is not mapped. */
int space_move(uint64_t from, uint64_t to, size_t pages);

/* Give the frames of a range back but keep the promise: the pages read as zero again. */
void space_discard(uint64_t address, size_t pages);

/* Make sure that the page of any address can be accessed so, filling it if promised; false when it may not be. */
bool space_touch(uint64_t address, int access);

/* Where the byte at any address lies in the nano-kernel's view, after space_touch; NULL when it may not be accessed. */
void *space_resolve(uint64_t address, int access);

#endif
