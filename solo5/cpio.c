/* The payload (cpio.h). */

#include "cpio.h"
#include "text.h"

#define HEADER_LEN 110
#define ROUND_UP(n) (((n) + 3ul) & ~3ul)

enum field { INODE = 0, MODE = 1, FILE_SIZE = 6, NAME_SIZE = 11 };

static const uint8_t *start, *end;

/* A header field: 8 hexadecimal digits; false when they are not. */
static bool field(const uint8_t *header, enum field number, uint64_t *value)
{
    const uint8_t *digits = header + 6 + 8 * number;

    *value = 0;
    for (int i = 0; i < 8; i++) {
        uint8_t c = digits[i];

        if (c >= '0' && c <= '9')
            *value = *value << 4 | (uint64_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            *value = *value << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
        else
            return false;
    }
    return true;
}

/* The entry at *at: its name and file; moves *at after it. False when it is malformed or reaches beyond the end. */
static bool entry(const uint8_t **at, const char **name, struct cpio_file *file)
{
    const uint8_t *header = *at;
    uint64_t name_size, size, mode, inode, data, room = (uint64_t)(end - header);

    if (room < HEADER_LEN || memcmp(header, "070701", 6) != 0)
        return false;
    if (!field(header, INODE, &inode) || !field(header, MODE, &mode) || !field(header, FILE_SIZE, &size) ||
        !field(header, NAME_SIZE, &name_size))
        return false;
    data = ROUND_UP(HEADER_LEN + name_size);
    if (name_size == 0 || data > room || size > room - data || header[HEADER_LEN + name_size - 1] != '\0')
        return false;
    *name = (const char *)header + HEADER_LEN;
    *file = (struct cpio_file){header + data, size, (uint32_t)mode, (uint32_t)inode};
    *at = header + (ROUND_UP(data + size) < room ? ROUND_UP(data + size) : room);
    return true;
}

bool cpio_init(const uint8_t *archive, size_t size)
{
    const uint8_t *at = archive;
    const char *name;
    struct cpio_file file;

    start = archive;
    end = archive + size;
    while (entry(&at, &name, &file)) {
        if (text_equal(name, "TRAILER!!!"))
            return true;
    }
    end = start; /* nothing is found in it */
    return false;
}

bool cpio_find(const char *path, struct cpio_file *file)
{
    const uint8_t *at = start;
    const char *name;

    while (*path == '/')
        path++;
    if (*path == '\0') {
        *file = (struct cpio_file){NULL, 0, 0040755, 1};
        return true;
    }
    while (at < end && entry(&at, &name, file)) {
        if (text_equal(name, "TRAILER!!!"))
            return false;
        if (text_equal(name, path))
            return true;
    }
    return false;
}
