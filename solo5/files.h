/*
 * Open files. A kind of file is a table of functions; what a kind leaves out answers with the error that Linux would give.
 * Bound: MAX_OPEN descriptors.
 */

#ifndef HOGNOSE_FILES_H
#define HOGNOSE_FILES_H

#include "cpio.h"
#include "user.h"

#define MAX_OPEN 32
#define PATH_SIZE 256

#define MODE_FOLDER 0040555
#define MODE_FILE 0100444
#define MODE_CHARACTER 0020600
#define MODE_BLOCK 0060400

struct open_file;

/* All results: a count or 0, or a negated error number. */
struct file_kind {
    const char *path; /* NULL for files of the payload */
    uint32_t mode;
    /* Fill `size`, and prepare content, when it is opened or looked at. */
    void (*describe)(struct open_file *file);
    long (*read)(struct open_file *file, struct vector *to);
    long (*write)(struct open_file *file, struct vector *from);
    long (*ioctl)(uint64_t request, uint64_t argument);
    bool (*readable)(void); /* for poll; NULL: always */
    bool seekable;
};

struct open_file {
    const struct file_kind *kind; /* NULL: the descriptor is free */
    struct cpio_file content;     /* what a payload or text file reads from */
    uint64_t size;
    uint64_t position;
    uint32_t flags; /* of open */
};

/* Descriptors 0, 1 and 2 on the console. */
void files_init(void);

long file_open(const char *path, uint32_t flags);
long file_close(uint64_t fd);
long file_read(uint64_t fd, struct vector *to);
long file_write(uint64_t fd, struct vector *from);
long file_read_at(uint64_t fd, struct vector *to, uint64_t position);
long file_seek(uint64_t fd, int64_t offset, uint64_t whence);
long file_ioctl(uint64_t fd, uint64_t request, uint64_t argument);
long file_control(uint64_t fd, uint64_t command, uint64_t argument);
long file_status(uint64_t fd, uint64_t buffer);
long file_status_of(const char *path, uint64_t buffer);

/* The file of a descriptor, NULL when it is not open. */
struct open_file *file_of(uint64_t fd);

/* devices.c */
extern const struct file_kind file_kinds[];
extern const size_t file_kind_count;
extern const struct file_kind payload_kind;

/* Read from the content of a payload or text file at its position, which moves. */
long content_read(struct open_file *file, struct vector *to);

#endif
