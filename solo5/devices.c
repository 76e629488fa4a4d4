/*
 * The files that are not in the payload: console, block device, randomness, the frame device, and the few text files
 * below /proc and /sys that the program asks for.
 */

#include "entropy.h"
#include "files.h"
#include "host.h"
#include "memory.h"
#include "tap.h"
#include "text.h"

#define CHUNK 4096ul

/* Everything that crosses between the tender and the application passes through here, a chunk at a time. */
static uint8_t chunk[CHUNK] __attribute__((aligned(4096)));

static long console_write(struct open_file *file, struct vector *from)
{
    long total = 0;

    (void)file;
    for (;;) {
        long count = vector_get(from, chunk, CHUNK);

        if (count <= 0)
            return count < 0 && total == 0 ? count : total;
        host_print((const char *)chunk, (size_t)count);
        total += count;
    }
}

static long console_read(struct open_file *file, struct vector *to)
{
    (void)file;
    (void)to;
    return 0; /* the tender has no input */
}

static void storage_describe(struct open_file *file)
{
    file->size = host_block_size();
}

/*
 * Block by block of the tender's 512 bytes; the program reads from where it likes. No block is read without a request:
 * the tender ends when its file has become shorter and one reads after the end.
 */
static long storage_read(struct open_file *file, struct vector *to)
{
    long total = 0;

    while (file->position < file->size && (to->iov || to->len)) {
        uint64_t within = file->position % 512, block = file->position - within;
        size_t size = file->size - block < CHUNK ? file->size - block : CHUNK;
        long count;

        if (to->iov == 0 && to->len < size - within)
            size = (within + to->len + 511) / 512 * 512;
        if (host_block_read(block, chunk, size) < 0)
            return total ? total : -EIO;
        count = vector_put(to, chunk + within, size - within);
        if (count < 0)
            return total ? total : count;
        file->position += (uint64_t)count;
        total += count;
        if ((size_t)count < size - within)
            break;
    }
    return total;
}

static long random_read(struct open_file *file, struct vector *to)
{
    long total = 0;

    (void)file;
    for (;;) {
        long count;

        entropy_bytes(chunk, 256);
        count = vector_put(to, chunk, 256);
        if (count < 0)
            return total ? total : count;
        total += count;
        if (count < 256)
            return total;
    }
}

/* Text files are written anew whenever one is opened or looked at; one buffer serves them all. */
static struct line text;

static void text_done(struct open_file *file)
{
    file->content = (struct cpio_file){(const uint8_t *)text.text, text.len, MODE_FILE, 0};
    file->size = 0; /* as in /proc */
}

static void figure(const char *name, size_t pages)
{
    line_text(&text, name);
    line_number(&text, pages * PAGE_SIZE / 1024);
    line_text(&text, " kB\n");
}

static void meminfo_describe(struct open_file *file)
{
    struct memory_figures figures = memory_figures();

    text.len = 0;
    figure("MemTotal:       ", figures.total);
    figure("MemFree:        ", figures.total - figures.used);
    figure("MemAvailable:   ", figures.limit - figures.committed);
    figure("CommitLimit:    ", figures.limit);
    figure("Committed_AS:   ", figures.committed);
    text_done(file);
}

static void mtu_describe(struct open_file *file)
{
    text.len = 0;
    line_number(&text, host_mtu());
    line_text(&text, "\n");
    text_done(file);
}

const struct file_kind payload_kind = {.read = content_read, .seekable = true};

const struct file_kind file_kinds[] = {
    {.path = "/dev/console", .mode = MODE_CHARACTER, .read = console_read, .write = console_write},
    {.path = "/dev/vda", .mode = MODE_BLOCK, .describe = storage_describe, .read = storage_read, .seekable = true},
    {.path = "/dev/urandom", .mode = MODE_CHARACTER, .read = random_read},
    {.path = "/dev/tap", .mode = MODE_CHARACTER, .read = tap_read, .write = tap_write, .ioctl = tap_ioctl,
     .readable = tap_readable},
    {.path = "/proc/meminfo", .mode = MODE_FILE, .describe = meminfo_describe, .read = content_read, .seekable = true},
    {.path = "/sys/class/net/tap0/mtu", .mode = MODE_FILE, .describe = mtu_describe, .read = content_read,
     .seekable = true},
};

const size_t file_kind_count = sizeof file_kinds / sizeof file_kinds[0];
