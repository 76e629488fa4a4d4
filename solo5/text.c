/* Bytes and text (text.h). */

#include "text.h"

#ifndef HOST_TEST
void *memcpy(void *to, const void *from, size_t n)
{
    void *result = to;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
    return result;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *target = to;
    const unsigned char *source = from;

    if (target <= source || target >= source + n)
        return memcpy(to, from, n);
    while (n--)
        target[n] = source[n];
    return to;
}

void *memset(void *to, int byte, size_t n)
{
    void *result = to;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
    return result;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *left = a, *right = b;

    for (size_t i = 0; i < n; i++) {
        if (left[i] != right[i])
            return left[i] - right[i];
    }
    return 0;
}

size_t strlen(const char *text)
{
    size_t n = 0;

    while (text[n])
        n++;
    return n;
}
#endif

bool text_equal(const char *a, const char *b)
{
    size_t n = strlen(a);

    return n == strlen(b) && memcmp(a, b, n) == 0;
}

void line_text(struct line *line, const char *text)
{
    while (*text && line->len < sizeof line->text - 1)
        line->text[line->len++] = *text++;
    line->text[line->len] = '\0';
}

void line_number(struct line *line, uint64_t value)
{
    char digits[21];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    line_text(line, digits + at);
}

void line_hex(struct line *line, uint64_t value)
{
    char digits[19];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value);
    digits[--at] = 'x';
    digits[--at] = '0';
    line_text(line, digits + at);
}
