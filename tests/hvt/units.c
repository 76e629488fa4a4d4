/*
 * Unit tests of the nano-kernel's pure parts on the host, under the address and undefined-behaviour sanitizers.
 * Physical memory is an array; the application's addresses exist in page tables only. Names the check that fails, status
 * 1. Argument: a static program to load.
 */

#include "memory.h"
#include "paging.h"
#include "units.h"

#define PML4_PAGE 0ul
#define FIRST_FREE 1ul

uint8_t *test_memory;
bool emulated_ring0;
unsigned flushes;

void flush_tlb(void)
{
    flushes++;
}

void fresh(size_t pages)
{
    memset(test_memory, 0, MEMORY_PAGES * PAGE_SIZE);
    memory_init(FIRST_FREE * PAGE_SIZE, (FIRST_FREE + pages) * PAGE_SIZE);
    space_init(PML4_PAGE * PAGE_SIZE);
    flushes = 0;
}

int main(int argc, char **argv)
{
    test_memory = aligned_alloc(PAGE_SIZE, MEMORY_PAGES * PAGE_SIZE);
    CHECK(argc == 2 && test_memory);
    test_memory_and_paging();
    test_files(argv[1]);
    puts("all passed");
    free(test_memory);
    return 0;
}
