/* The processor and the memory's layout for the C files; see README.md for the map. */

#ifndef HOGNOSE_MACHINE_H
#define HOGNOSE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096ul
#define PAGE_MASK (PAGE_SIZE - 1)
#define PAGES_OF(bytes) (((bytes) + PAGE_MASK) >> 12)

/* Virtual addresses. Below USER_START stands the nano-kernel itself, identity-mapped; all RAM again at DIRECT_MAP. */
#define USER_START 0x400000ul
#define USER_END 0x400000000000ul
#define MMAP_START 0x1000000000ul
#define STACK_TOP 0x3fffffff0000ul
#define STACK_PAGES 512ul /* 2 MiB */
#define DIRECT_MAP 0x400000000000ul

typedef uint64_t phys_t;

#ifdef HOST_TEST
/* Host-side unit tests: physical memory is an array of the test's. */
extern uint8_t *test_memory;
static inline void *phys_to_virt(phys_t address)
{
    return test_memory + address;
}
#else
static inline void *phys_to_virt(phys_t address)
{
    return (void *)(DIRECT_MAP + address);
}
#endif

/*
 * True on a host that runs ring 3 natively but emulates ring 0, where SYSCALL does not leave ring 3 (README.md). Probed
 * once before any application code is loaded, then never changed.
 */
extern bool emulated_ring0;

/* Forget cached translations of user pages that were removed or restricted. */
void flush_tlb(void);

/* Error numbers of Linux, as system calls return them (negated). */
enum {
    EPERM = 1, ENOENT = 2, EIO = 5, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14,
    EEXIST = 17, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, EMFILE = 24, ENOTTY = 25, ESPIPE = 29,
    EROFS = 30, ENAMETOOLONG = 36, ENOSYS = 38, ETIMEDOUT = 110,
};

#endif
