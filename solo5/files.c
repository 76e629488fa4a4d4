/* Open files (files.h). */

#include "files.h"
#include "text.h"

#define O_ACCESS 3
#define O_CREAT 0100
#define O_NONBLOCK 04000
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define FIOCLEX 0x5451
#define FIONCLEX 0x5450

enum whence { SEEK_SET = 0, SEEK_CUR = 1, SEEK_END = 2 };

/* struct stat of Linux on x86_64 */
struct status {
    uint64_t device, inode, links;
    uint32_t mode, uid, gid, padding;
    uint64_t special;
    int64_t size, block_size, blocks;
    uint64_t times[6];
    int64_t unused[3];
};

_Static_assert(sizeof(struct status) == 144, "struct stat");

static struct open_file files[MAX_OPEN];

void files_init(void)
{
    for (int i = 0; i < 3; i++)
        file_open("/dev/console", 2);
}

struct open_file *file_of(uint64_t fd)
{
    return fd < MAX_OPEN && files[fd].kind ? &files[fd] : NULL;
}

/* The file of a path, not yet a descriptor; 0 or -ENOENT. */
static int look_up(const char *path, struct open_file *file)
{
    *file = (struct open_file){0};
    for (size_t i = 0; i < file_kind_count; i++) {
        if (text_equal(path, file_kinds[i].path)) {
            file->kind = &file_kinds[i];
            if (file->kind->describe)
                file->kind->describe(file);
            return 0;
        }
    }
    if (!cpio_find(path, &file->content))
        return -ENOENT;
    file->kind = &payload_kind;
    file->size = file->content.size;
    return 0;
}

long file_open(const char *path, uint32_t flags)
{
    struct open_file file;
    int result = look_up(path, &file);

    if (result < 0)
        return flags & O_CREAT ? -EROFS : result;
    if (file.kind == &payload_kind && (file.content.mode & 0170000) == 0040000)
        return -EISDIR;
    if (flags & O_ACCESS && file.kind->write == NULL)
        return -EROFS;
    file.flags = flags;
    for (long fd = 0; fd < MAX_OPEN; fd++) {
        if (files[fd].kind == NULL) {
            files[fd] = file;
            return fd;
        }
    }
    return -EMFILE;
}

long file_close(uint64_t fd)
{
    struct open_file *file = file_of(fd);

    if (file == NULL)
        return -EBADF;
    file->kind = NULL;
    return 0;
}

long file_read(uint64_t fd, struct vector *to)
{
    struct open_file *file = file_of(fd);

    if (file == NULL)
        return -EBADF;
    return file->kind->read ? file->kind->read(file, to) : -EINVAL;
}

long file_read_at(uint64_t fd, struct vector *to, uint64_t position)
{
    struct open_file *file = file_of(fd);
    uint64_t before;
    long result;

    if (file == NULL)
        return -EBADF;
    if (!file->kind->seekable)
        return -ESPIPE;
    before = file->position;
    file->position = position;
    result = file->kind->read(file, to);
    file->position = before;
    return result;
}

long file_write(uint64_t fd, struct vector *from)
{
    struct open_file *file = file_of(fd);

    if (file == NULL || (file->flags & O_ACCESS) == 0)
        return -EBADF;
    return file->kind->write(file, from);
}

long file_seek(uint64_t fd, int64_t offset, uint64_t whence)
{
    struct open_file *file = file_of(fd);
    int64_t base;

    if (file == NULL)
        return -EBADF;
    if (!file->kind->seekable)
        return -ESPIPE;
    if (whence > SEEK_END)
        return -EINVAL;
    base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? (int64_t)file->position : (int64_t)file->size;
    if (__builtin_add_overflow(base, offset, &base) || base < 0)
        return -EINVAL;
    file->position = (uint64_t)base;
    return base;
}

long file_ioctl(uint64_t fd, uint64_t request, uint64_t argument)
{
    struct open_file *file = file_of(fd);

    if (file == NULL)
        return -EBADF;
    if (request == FIOCLEX || request == FIONCLEX)
        return 0; /* nothing is ever executed */
    return file->kind->ioctl ? file->kind->ioctl(request, argument) : -ENOTTY;
}

long file_control(uint64_t fd, uint64_t command, uint64_t argument)
{
    struct open_file *file = file_of(fd);

    if (file == NULL)
        return -EBADF;
    switch (command) {
    case F_GETFD:
    case F_SETFD:
        return 0;
    case F_GETFL:
        return file->flags & (O_ACCESS | O_NONBLOCK);
    case F_SETFL:
        file->flags = (file->flags & ~O_NONBLOCK) | (argument & O_NONBLOCK);
        return 0;
    default:
        return -EINVAL;
    }
}

static long put_status(const struct open_file *file, uint64_t buffer)
{
    struct status status = {
        .device = 1,
        .inode = file->kind == &payload_kind ? file->content.inode : (uint64_t)(file->kind - file_kinds) + 1000,
        .links = 1,
        .mode = file->kind == &payload_kind ? file->content.mode : file->kind->mode,
        .size = (int64_t)file->size,
        .block_size = 4096,
        .blocks = (int64_t)(file->size + 511) / 512,
    };

    return user_write(buffer, &status, sizeof status);
}

long file_status(uint64_t fd, uint64_t buffer)
{
    struct open_file *file = file_of(fd);

    return file == NULL ? -EBADF : put_status(file, buffer);
}

long file_status_of(const char *path, uint64_t buffer)
{
    struct open_file file;
    int result = look_up(path, &file);

    return result < 0 ? result : put_status(&file, buffer);
}

long content_read(struct open_file *file, struct vector *to)
{
    long count;

    if (file->position >= file->content.size)
        return 0;
    count = vector_put(to, file->content.data + file->position, file->content.size - file->position);
    if (count > 0)
        file->position += (uint64_t)count;
    return count;
}
