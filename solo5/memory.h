/*
 * Physical pages and what has been promised of them.
 *
 * Pages are handed out only against a commitment made before (or for page tables, from a reserve), so an allocation
 * inside a page fault cannot fail: memory runs out at mmap and brk, which say ENOMEM, or nowhere.
 */

#ifndef HOGNOSE_MEMORY_H
#define HOGNOSE_MEMORY_H

#include "machine.h"

struct memory_figures {
    size_t total;     /* pages managed */
    size_t limit;     /* pages that may be committed */
    size_t committed; /* pages promised to the application */
    size_t used;      /* pages handed out, page tables included */
};

/* Manage [start, end), page-aligned and zero. */
void memory_init(phys_t start, phys_t end);

/* Promise pages; false when that would exceed the limit. */
bool memory_commit(size_t pages);

/* Take back a promise. */
void memory_uncommit(size_t pages);

/* A zero page; 0 when there is none, which within commitments does not happen. */
phys_t page_alloc(void);

/* Give a page back; it is zeroed here, where time matters less than in a page fault. */
void page_free(phys_t page);

struct memory_figures memory_figures(void);

#endif
