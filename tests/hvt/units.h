/* Shared by the unit tests of the nano-kernel's pure parts (units.c). */

#ifndef UNITS_H
#define UNITS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

#define MEMORY_PAGES 4096ul

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                     \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A machine as after boot, with `pages` free pages. */
void fresh(size_t pages);

extern unsigned flushes; /* of the translation buffer */

void test_memory_and_paging(void); /* units_memory.c */
void test_files(const char *program); /* units_files.c */

#endif
