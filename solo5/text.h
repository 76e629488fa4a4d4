/* Bytes and text: the few functions of the C library that the nano-kernel uses, and a bounded line builder. */

#ifndef HOGNOSE_TEXT_H
#define HOGNOSE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef HOST_TEST
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);
#else
#include <string.h>
#endif

bool text_equal(const char *a, const char *b);

/* A line under construction: what does not fit is left out. Always ends with NUL. */
struct line {
    char text[512];
    size_t len;
};

void line_text(struct line *line, const char *text);
void line_number(struct line *line, uint64_t value);
void line_hex(struct line *line, uint64_t value);

#endif
