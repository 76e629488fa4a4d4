/* The payload: a newc archive in memory, read in place, never written. */

#ifndef HOGNOSE_CPIO_H
#define HOGNOSE_CPIO_H

#include "machine.h"

struct cpio_file {
    const uint8_t *data;
    uint64_t size;
    uint32_t mode; /* as in struct stat */
    uint32_t inode;
};

/* Check the whole archive; false when it is not one, or is not whole. */
bool cpio_init(const uint8_t *archive, size_t size);

/* Find a file or folder by its absolute path; false when there is none. */
bool cpio_find(const char *path, struct cpio_file *file);

#endif
