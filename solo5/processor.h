/* The processor: tables, modes, privileged instructions. */

#ifndef HOGNOSE_PROCESSOR_H
#define HOGNOSE_PROCESSOR_H

#include "machine.h"

/* GDT, TSS, IDT, SYSCALL, vector state; the nano-kernel's own page tables for mem_size bytes. Ring 0 only. */
void processor_init(uint64_t mem_size);

/* The page tables that processor_init made. */
phys_t processor_page_tables(void);

/* Refuse ring 0 to execute or touch application pages (SMEP, SMAP). */
void processor_lock(void);

/* Let ring 3 use the nano-kernel's pages: for the one host quirk, once (trap.c). */
void processor_open_to_ring_3(void);

enum privileged_operation { SET_FS_BASE, FLUSH_TLB, LOCK };

/* Do it, in ring 0 or by an exception from ring 3 (entry.S). */
void privileged(enum privileged_operation operation, uint64_t value);
void privileged_here(enum privileged_operation operation, uint64_t value);

_Noreturn void enter_user(uint64_t rip, uint64_t rsp);

uint64_t read_cr2(void);

/* Hardware randomness, after a few tries: false when there is none. */
bool hardware_random(uint64_t *value);

static inline uint64_t read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

#endif
