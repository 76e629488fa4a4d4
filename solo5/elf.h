/* Loading one static program (ET_EXEC, x86_64) out of the payload into the empty address space. */

#ifndef HOGNOSE_ELF_H
#define HOGNOSE_ELF_H

#include "cpio.h"

struct program {
    uint64_t entry;
    uint64_t headers; /* address of the program headers in the program's memory, 0 when no segment holds them */
    uint64_t header_count;
    uint64_t end; /* first page after the last segment: where the heap begins */
};

#define ELF_HEADER_SIZE 56 /* of one program header */

/*
 * Read-only pages are mapped where they lie in the payload (`frame_of` gives a byte's frame) when file and memory agree
 * in their place within a page; everything else is copied. NULL, or why this is no program that can be run.
 */
const char *elf_load(const struct cpio_file *file, phys_t (*frame_of)(const uint8_t *byte), struct program *program);

#endif
