/* Physical pages (memory.h): a mark that only goes up, and a list of pages that came back, linked through themselves. */

#include "memory.h"
#include "text.h"

/* Kept for page tables: one page in 512 maps the rest, and sparse ranges need a few more. */
#define RESERVE(pages) ((pages) / 128 + 64)

static phys_t mark, end_of_memory, free_list;
static struct memory_figures figures;

void memory_init(phys_t start, phys_t end)
{
    mark = start;
    end_of_memory = end;
    free_list = 0;
    figures.total = (end - start) / PAGE_SIZE;
    figures.limit = figures.total > RESERVE(figures.total) ? figures.total - RESERVE(figures.total) : 0;
    figures.committed = 0;
    figures.used = 0;
}

bool memory_commit(size_t pages)
{
    if (pages > figures.limit - figures.committed)
        return false;
    figures.committed += pages;
    return true;
}

void memory_uncommit(size_t pages)
{
    figures.committed -= pages;
}

phys_t page_alloc(void)
{
    phys_t page;

    if (free_list) {
        uint64_t *link = phys_to_virt(free_list);

        page = free_list;
        free_list = *link;
        *link = 0;
    } else if (mark < end_of_memory) {
        page = mark;
        mark += PAGE_SIZE;
    } else {
        return 0;
    }
    figures.used++;
    return page;
}

void page_free(phys_t page)
{
    uint64_t *link = phys_to_virt(page);

    memset(link, 0, PAGE_SIZE);
    *link = free_list;
    free_list = page;
    figures.used--;
}

struct memory_figures memory_figures(void)
{
    return figures;
}
