/* mmap and its kin: promises against what memory there is, nothing writable and executable, no files. */

#include "memory.h"
#include "paging.h"
#include "syscall_memory.h"

#define MAP_SHARED 1
#define MAP_FIXED 0x10
#define MAP_ANONYMOUS 0x20
#define MAP_POPULATE 0x8000
#define MAP_FIXED_NOREPLACE 0x100000
#define MREMAP_MAYMOVE 1
#define MADV_DONTNEED 4
#define HEAP_MAX (1ul << 36)

/* On hosts that emulate ring 0 a page fault costs much more than a page: fill what is small enough at once. */
#define EAGER_PAGES 256

static uint64_t heap_start, heap_end;
static uint64_t lowest_free = MMAP_START; /* no free range begins below it */

void memory_calls_init(uint64_t heap)
{
    heap_start = heap_end = heap;
}

static bool valid_range(uint64_t address, uint64_t size)
{
    return !(address & PAGE_MASK) && address >= USER_START && address < USER_END && size && size <= USER_END - address;
}

static bool valid_prot(uint64_t prot)
{
    return prot <= (PROT_READ | PROT_WRITE | PROT_EXEC) && (prot & (PROT_WRITE | PROT_EXEC)) != (PROT_WRITE | PROT_EXEC);
}

static void unmap(uint64_t address, size_t pages)
{
    memory_uncommit(space_unmap(address, pages));
    if (address >= MMAP_START && address < lowest_free)
        lowest_free = address;
}

/* Commit and reserve a free range; 0 or -ENOMEM. */
static int promise(uint64_t address, size_t pages, int prot, bool now)
{
    if (!memory_commit(pages))
        return -ENOMEM;
    if (space_reserve(address, pages, prot) < 0) {
        memory_uncommit(pages);
        return -ENOMEM;
    }
    if ((now || (emulated_ring0 && pages <= EAGER_PAGES)) && prot & PROT_WRITE) {
        for (size_t i = 0; i < pages; i++)
            space_touch(address + i * PAGE_SIZE, PROT_WRITE);
    }
    return 0;
}

long call_brk(uint64_t end)
{
    uint64_t before = (heap_end + PAGE_MASK) & ~PAGE_MASK, after = (end + PAGE_MASK) & ~PAGE_MASK;

    if (end < heap_start || end > heap_start + HEAP_MAX || after > MMAP_START)
        return (long)heap_end;
    if (after < before)
        unmap(after, (before - after) / PAGE_SIZE);
    else if (after > before &&
             (!space_is_free(before, (after - before) / PAGE_SIZE) ||
              promise(before, (after - before) / PAGE_SIZE, PROT_READ | PROT_WRITE, false) < 0))
        return (long)heap_end;
    heap_end = end;
    return (long)end;
}

long call_mmap(uint64_t address, uint64_t size, uint64_t prot, uint64_t flags)
{
    size_t pages = PAGES_OF(size);
    int result;

    if (size == 0 || size > USER_END || !(flags & MAP_ANONYMOUS))
        return flags & MAP_ANONYMOUS ? -EINVAL : -ENODEV;
    if (!valid_prot(prot))
        return -EACCES;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if (!valid_range(address, pages * PAGE_SIZE))
            return -EINVAL;
        if (!(flags & MAP_FIXED) && !space_is_free(address, pages))
            return -EEXIST;
        unmap(address, pages);
    } else {
        address = space_find(lowest_free, STACK_TOP - STACK_PAGES * PAGE_SIZE - PAGE_SIZE, pages);
        if (address == 0)
            return -ENOMEM;
    }
    result = promise(address, pages, (int)prot, flags & MAP_POPULATE);
    if (result < 0)
        return result;
    if (address == lowest_free)
        lowest_free = address + pages * PAGE_SIZE;
    return (long)address;
}

long call_munmap(uint64_t address, uint64_t size)
{
    if (!valid_range(address, size))
        return -EINVAL;
    unmap(address, PAGES_OF(size));
    return 0;
}

long call_mprotect(uint64_t address, uint64_t size, uint64_t prot)
{
    if (size == 0)
        return 0;
    if (!valid_range(address, size))
        return -EINVAL;
    if (!valid_prot(prot))
        return -EACCES;
    return space_protect(address, PAGES_OF(size), (int)prot);
}

long call_mremap(uint64_t address, uint64_t old_size, uint64_t new_size, uint64_t flags)
{
    size_t old_pages = PAGES_OF(old_size), new_pages = PAGES_OF(new_size);
    uint64_t behind = address + old_pages * PAGE_SIZE;
    uint64_t target;

    if (!valid_range(address, old_size) || new_size == 0 || new_size > USER_END || flags & ~(uint64_t)MREMAP_MAYMOVE)
        return -EINVAL;
    if (new_pages <= old_pages) {
        if (new_pages < old_pages)
            unmap(address + new_pages * PAGE_SIZE, old_pages - new_pages);
        return (long)address;
    }
    if (valid_range(address, new_size) && space_is_free(behind, new_pages - old_pages))
        return promise(behind, new_pages - old_pages, PROT_READ | PROT_WRITE, false) < 0 ? -ENOMEM : (long)address;
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    target = space_find(lowest_free, STACK_TOP - STACK_PAGES * PAGE_SIZE - PAGE_SIZE, new_pages);
    if (target == 0 || promise(target + old_pages * PAGE_SIZE, new_pages - old_pages, PROT_READ | PROT_WRITE, false) < 0)
        return -ENOMEM;
    if (space_move(address, target, old_pages) < 0) {
        unmap(target + old_pages * PAGE_SIZE, new_pages - old_pages);
        return -EFAULT;
    }
    if (address >= MMAP_START && address < lowest_free)
        lowest_free = address;
    return (long)target;
}

long call_madvise(uint64_t address, uint64_t size, uint64_t advice)
{
    if (size && !valid_range(address, size))
        return -EINVAL;
    if (advice == MADV_DONTNEED && size)
        space_discard(address, PAGES_OF(size));
    return 0;
}
