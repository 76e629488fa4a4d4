/*
 * Access to the application's memory. Every pointer that a system call takes goes through these functions: page by page,
 * checked against the page tables, filled where promised, and touched through the direct map, so that the nano-kernel
 * itself never faults. All return 0 or -EFAULT unless said otherwise.
 */

#ifndef HOGNOSE_USER_H
#define HOGNOSE_USER_H

#include "machine.h"

int user_read(void *to, uint64_t from, size_t n);
int user_write(uint64_t to, const void *from, size_t n);
int user_clear(uint64_t to, size_t n);

/* A string of at most size - 1 bytes; its length, -EFAULT, or -ENAMETOOLONG when it is longer. */
long user_text(char *to, uint64_t from, size_t size);

/* The buffers of one read or write call, taken in order. */
struct vector {
    uint64_t iov;   /* the application's array; 0 when there is one buffer only */
    size_t left;    /* entries not yet begun */
    uint64_t base;  /* rest of the current buffer */
    size_t len;
};

#define IOV_MAX 1024

struct vector vector_one(uint64_t base, size_t len);

/* -EINVAL for more than IOV_MAX entries. */
int vector_many(struct vector *vector, uint64_t iov, size_t count);

/* Move up to n bytes into or out of the buffers; how many it were (fewer only at their end), or -EFAULT. */
long vector_put(struct vector *vector, const void *from, size_t n);
long vector_get(struct vector *vector, void *to, size_t n);

#endif
