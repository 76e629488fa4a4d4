/* The application's address space (paging.h). */

#include "memory.h"
#include "paging.h"

/*
 * An entry that is not zero and not present is a promise. Its bits: what may be done with the page, and if HELD is set
 * the frame that it has already (a touched page whose access was taken away).
 */
#define PROMISED 2ul
#define PROMISE_READ 4ul
#define PROMISE_WRITE 8ul
#define PROMISE_EXEC 16ul
#define HELD 32ul

#define ENTRIES 512ul
#define LEVELS 4

static uint64_t *root;

void space_init(phys_t pml4)
{
    root = phys_to_virt(pml4);
}

static uint64_t *table_of(uint64_t entry)
{
    return phys_to_virt(entry & PTE_FRAME);
}

/* Bytes that one entry of a level covers; level 0 holds pages. */
static uint64_t span(int level)
{
    return PAGE_SIZE << (9 * level);
}

/*
 * The entry of a page, or NULL: without `make` when its table is missing, with it when page tables run out. *skip is then
 * the first address after the missing table.
 */
static uint64_t *entry_of(uint64_t address, bool make, uint64_t *skip)
{
    uint64_t *table = root;

    for (int level = LEVELS - 1; level > 0; level--) {
        uint64_t *entry = &table[address / span(level) % ENTRIES];

        if (!(*entry & PTE_PRESENT)) {
            phys_t frame;

            *skip = (address & ~(span(level) - 1)) + span(level);
            if (!make || (frame = page_alloc()) == 0)
                return NULL;
            *entry = frame | PTE_PRESENT | PTE_WRITE | PTE_USER;
        }
        table = table_of(*entry);
    }
    return &table[address / PAGE_SIZE % ENTRIES];
}

static uint64_t present(phys_t frame, int prot, uint64_t owned)
{
    uint64_t entry = frame | PTE_PRESENT | PTE_USER | owned;

    if (prot & PROT_WRITE)
        entry |= PTE_WRITE;
    if (!(prot & PROT_EXEC))
        entry |= PTE_NX;
    return entry;
}

static uint64_t promise(int prot)
{
    uint64_t entry = PROMISED;

    if (prot & PROT_READ)
        entry |= PROMISE_READ;
    if (prot & PROT_WRITE)
        entry |= PROMISE_WRITE | PROMISE_READ; /* x86 has no write without read */
    if (prot & PROT_EXEC)
        entry |= PROMISE_EXEC | PROMISE_READ;
    return entry;
}

static int promised_prot(uint64_t entry)
{
    return (entry & PROMISE_READ ? PROT_READ : 0) | (entry & PROMISE_WRITE ? PROT_WRITE : 0) |
           (entry & PROMISE_EXEC ? PROT_EXEC : 0);
}

static bool has_frame(uint64_t entry)
{
    return (entry & PTE_PRESENT) || ((entry & PROMISED) && (entry & HELD));
}

bool space_is_free(uint64_t address, size_t pages)
{
    uint64_t end = address + pages * PAGE_SIZE;

    return space_find(address, end, pages) == address;
}

uint64_t space_find(uint64_t from, uint64_t limit, size_t pages)
{
    uint64_t start = from, at = from;
    uint64_t need = pages * PAGE_SIZE;

    while (at < limit && start + need <= limit) {
        uint64_t skip;
        uint64_t *entry = entry_of(at, false, &skip);

        if (entry == NULL) {
            at = skip;
        } else if (*entry == 0) {
            at += PAGE_SIZE;
        } else {
            at += PAGE_SIZE;
            start = at;
        }
        if (at >= start + need)
            return start;
    }
    return 0;
}

int space_reserve(uint64_t address, size_t pages, int prot)
{
    for (size_t i = 0; i < pages; i++) {
        uint64_t skip;
        uint64_t *entry = entry_of(address + i * PAGE_SIZE, true, &skip);

        if (entry == NULL) {
            space_unmap(address, i);
            return -ENOMEM;
        }
        *entry = promise(prot);
    }
    return 0;
}

int space_map(uint64_t address, phys_t frame, int prot, bool owned)
{
    uint64_t skip;
    uint64_t *entry = entry_of(address, true, &skip);

    if (entry == NULL)
        return -ENOMEM;
    *entry = present(frame, prot, owned ? PTE_OWNED : 0);
    return 0;
}

size_t space_unmap(uint64_t address, size_t pages)
{
    uint64_t end = address + pages * PAGE_SIZE;
    size_t promised = 0;
    bool flush = false;

    for (uint64_t at = address; at < end;) {
        uint64_t skip;
        uint64_t *entry = entry_of(at, false, &skip);

        if (entry == NULL) {
            at = skip;
            continue;
        }
        at += PAGE_SIZE;
        if (*entry == 0)
            continue;
        if (!has_frame(*entry) || (*entry & PTE_OWNED))
            promised++;
        if (has_frame(*entry)) {
            flush = true;
            if (*entry & PTE_OWNED)
                page_free(*entry & PTE_FRAME);
        }
        *entry = 0;
    }
    if (flush)
        flush_tlb();
    return promised;
}

int space_protect(uint64_t address, size_t pages, int prot)
{
    int result = 0;
    bool flush = false;

    for (size_t i = 0; i < pages; i++) {
        uint64_t skip;
        uint64_t *entry = entry_of(address + i * PAGE_SIZE, false, &skip);

        if (entry == NULL || *entry == 0) {
            result = -ENOMEM;
            break;
        }
        if (has_frame(*entry) && !(*entry & PTE_OWNED) && prot & PROT_WRITE) {
            result = -EACCES;
            break;
        }
        if (!has_frame(*entry)) {
            *entry = promise(prot);
            continue;
        }
        flush = true;
        if (prot & (PROT_READ | PROT_WRITE | PROT_EXEC))
            *entry = present(*entry & PTE_FRAME, prot, *entry & PTE_OWNED);
        else
            *entry = promise(prot) | HELD | (*entry & (PTE_FRAME | PTE_OWNED));
    }
    if (flush)
        flush_tlb();
    return result;
}

int space_move(uint64_t from, uint64_t to, size_t pages)
{
    uint64_t skip;

    /* All tables first, so that running out of them changes nothing. */
    for (size_t i = 0; i < pages; i++) {
        uint64_t *source = entry_of(from + i * PAGE_SIZE, false, &skip);

        if (source == NULL || *source == 0 || entry_of(to + i * PAGE_SIZE, true, &skip) == NULL)
            return -ENOMEM;
    }
    for (size_t i = 0; i < pages; i++) {
        uint64_t *source = entry_of(from + i * PAGE_SIZE, false, &skip);

        *entry_of(to + i * PAGE_SIZE, false, &skip) = *source;
        *source = 0;
    }
    flush_tlb();
    return 0;
}

void space_discard(uint64_t address, size_t pages)
{
    bool flush = false;

    for (size_t i = 0; i < pages; i++) {
        uint64_t skip;
        uint64_t *entry = entry_of(address + i * PAGE_SIZE, false, &skip);

        if (entry == NULL || !(*entry & PTE_PRESENT) || !(*entry & PTE_OWNED))
            continue;
        page_free(*entry & PTE_FRAME);
        *entry = promise(PROT_READ | (*entry & PTE_WRITE ? PROT_WRITE : 0) | (*entry & PTE_NX ? 0 : PROT_EXEC));
        flush = true;
    }
    if (flush)
        flush_tlb();
}

bool space_touch(uint64_t address, int access)
{
    uint64_t skip;
    uint64_t *entry;
    int prot;

    if (address < USER_START || address >= USER_END)
        return false;
    entry = entry_of(address, false, &skip);
    if (entry == NULL || *entry == 0)
        return false;
    if (*entry & PTE_PRESENT)
        return (!(access & PROT_WRITE) || (*entry & PTE_WRITE)) && (!(access & PROT_EXEC) || !(*entry & PTE_NX));
    prot = promised_prot(*entry);
    if ((access & prot) != access)
        return false;
    if (!(*entry & HELD)) {
        phys_t frame = page_alloc();

        if (frame == 0)
            return false;
        *entry = present(frame, prot, PTE_OWNED);
    }
    return true;
}

void *space_resolve(uint64_t address, int access)
{
    uint64_t skip;
    uint64_t *entry;

    if (!space_touch(address, access))
        return NULL;
    entry = entry_of(address, false, &skip);
    return (uint8_t *)phys_to_virt(*entry & PTE_FRAME) + (address & PAGE_MASK);
}
