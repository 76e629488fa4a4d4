/* One system call: from numbers to functions (syscall.h). Unknown ones are answered with ENOSYS and counted. */

#include "end.h"
#include "entropy.h"
#include "files.h"
#include "host.h"
#include "memory.h"
#include "paging.h"
#include "processor.h"
#include "start.h"
#include "syscall.h"
#include "syscall_memory.h"
#include "syscall_time.h"
#include "text.h"
#include "trap.h"

#define UNKNOWN_MAX 16
#define ARCH_SET_FS 0x1002
#define FUTEX_COMMAND 0x7f
#define FUTEX_WAKE 1
#define RLIMIT_STACK 3
#define AT_EMPTY_PATH 0x1000
#define AT_FDCWD (-100)

enum {
    SYS_READ = 0, SYS_WRITE = 1, SYS_OPEN = 2, SYS_CLOSE = 3, SYS_STAT = 4, SYS_FSTAT = 5, SYS_LSTAT = 6, SYS_POLL = 7,
    SYS_LSEEK = 8, SYS_MMAP = 9, SYS_MPROTECT = 10, SYS_MUNMAP = 11, SYS_BRK = 12, SYS_RT_SIGACTION = 13,
    SYS_RT_SIGPROCMASK = 14, SYS_IOCTL = 16, SYS_PREAD = 17, SYS_READV = 19, SYS_WRITEV = 20, SYS_ACCESS = 21,
    SYS_SCHED_YIELD = 24, SYS_MREMAP = 25, SYS_MADVISE = 28, SYS_GETPID = 39, SYS_EXIT = 60, SYS_UNAME = 63,
    SYS_FCNTL = 72, SYS_GETCWD = 79, SYS_READLINK = 89, SYS_GETTIMEOFDAY = 96, SYS_GETUID = 102, SYS_GETGID = 104,
    SYS_GETEUID = 107, SYS_GETEGID = 108, SYS_SIGALTSTACK = 131, SYS_ARCH_PRCTL = 158, SYS_GETTID = 186, SYS_TIME = 201,
    SYS_FUTEX = 202, SYS_SET_TID_ADDRESS = 218, SYS_CLOCK_GETTIME = 228, SYS_CLOCK_GETRES = 229,
    SYS_CLOCK_NANOSLEEP = 230, SYS_EXIT_GROUP = 231, SYS_OPENAT = 257, SYS_NEWFSTATAT = 262, SYS_READLINKAT = 267,
    SYS_SET_ROBUST_LIST = 273, SYS_PRLIMIT64 = 302, SYS_GETRANDOM = 318, SYS_RSEQ = 334,
};

static struct unknown {
    uint64_t number, count;
} unknown[UNKNOWN_MAX];

static long note_unknown(uint64_t number)
{
    for (int i = 0; i < UNKNOWN_MAX; i++) {
        if (unknown[i].count == 0 || unknown[i].number == number) {
            unknown[i].number = number;
            unknown[i].count++;
            break;
        }
    }
    return -ENOSYS;
}

static _Noreturn void end(uint64_t status)
{
    struct line line = {.len = 0};

    for (int i = 0; i < UNKNOWN_MAX && unknown[i].count; i++) {
        line_text(&line, i ? " " : "nano-kernel: system calls that are not served: ");
        line_number(&line, unknown[i].number);
        line_text(&line, "x");
        line_number(&line, unknown[i].count);
    }
    if (line.len)
        end_say(&line);
    host_halt((int)(status & 0x7f));
}

static long with_path(uint64_t at, long (*work)(const char *path, uint64_t argument), uint64_t argument)
{
    char path[PATH_SIZE];
    long length = user_text(path, at, sizeof path);

    return length < 0 ? length : work(path, argument);
}

static long open_path(const char *path, uint64_t flags)
{
    return file_open(path, (uint32_t)flags);
}

static long status_at(uint64_t directory, uint64_t path, uint64_t buffer, uint64_t flags)
{
    if (flags & AT_EMPTY_PATH && (int32_t)directory != AT_FDCWD)
        return file_status(directory, buffer);
    return with_path(path, file_status_of, buffer);
}

static long access_path(const char *path, uint64_t mode)
{
    struct cpio_file file;

    (void)mode;
    for (size_t i = 0; i < file_kind_count; i++) {
        if (text_equal(path, file_kinds[i].path))
            return 0;
    }
    return cpio_find(path, &file) ? 0 : -ENOENT;
}

/* The one link there is: /proc/self/exe. */
static long read_link(uint64_t path, uint64_t buffer, uint64_t size)
{
    char name[PATH_SIZE];
    long length = user_text(name, path, sizeof name);
    static const char target[] = "/init";

    if (length < 0)
        return length;
    if (!text_equal(name, "/proc/self/exe"))
        return access_path(name, 0) < 0 ? -ENOENT : -EINVAL;
    if (size > sizeof target - 1)
        size = sizeof target - 1;
    return user_write(buffer, target, size) < 0 ? -EFAULT : (long)size;
}

static long get_random(uint64_t buffer, uint64_t size)
{
    uint8_t bytes[256];
    uint64_t done = 0;

    while (done < size) {
        uint64_t part = size - done < sizeof bytes ? size - done : sizeof bytes;

        entropy_bytes(bytes, part);
        if (user_write(buffer + done, bytes, part) < 0)
            return -EFAULT;
        done += part;
    }
    return (long)done;
}

static long name_system(uint64_t buffer)
{
    static const char fields[6][65] = {"Linux", "hognose", "hvt-0.1", "nano-kernel", "x86_64", ""};

    return user_write(buffer, fields, sizeof fields);
}

static long limits(uint64_t resource, uint64_t old)
{
    uint64_t values[2] = {resource == RLIMIT_STACK ? STACK_PAGES * PAGE_SIZE : ~0ul, ~0ul};

    return old ? user_write(old, values, sizeof values) : 0;
}

static long set_up_thread(uint64_t code, uint64_t value)
{
    if (code != ARCH_SET_FS || value >= USER_END)
        return -EINVAL;
    privileged(SET_FS_BASE, value);
    return 0;
}

static long many(uint64_t fd, uint64_t iov, uint64_t count, long (*work)(uint64_t fd, struct vector *vector))
{
    struct vector vector;
    int result = vector_many(&vector, iov, count);

    return result < 0 ? result : work(fd, &vector);
}

static long one(uint64_t fd, uint64_t buffer, uint64_t size, long (*work)(uint64_t fd, struct vector *vector))
{
    struct vector vector = vector_one(buffer, size);

    return work(fd, &vector);
}

/* Files, then memory, then time, then what is about the process. */
static long serve(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    struct vector vector;

    switch (number) {
    case SYS_READ: return one(a, b, c, file_read);
    case SYS_WRITE: return one(a, b, c, file_write);
    case SYS_READV: return many(a, b, c, file_read);
    case SYS_WRITEV: return many(a, b, c, file_write);
    case SYS_PREAD: vector = vector_one(b, c); return file_read_at(a, &vector, d);
    case SYS_OPEN: return with_path(a, open_path, b);
    case SYS_OPENAT: return with_path(b, open_path, c);
    case SYS_CLOSE: return file_close(a);
    case SYS_STAT:
    case SYS_LSTAT: return with_path(a, file_status_of, b);
    case SYS_FSTAT: return file_status(a, b);
    case SYS_NEWFSTATAT: return status_at(a, b, c, d);
    case SYS_ACCESS: return with_path(a, access_path, b);
    case SYS_LSEEK: return file_seek(a, (int64_t)b, c);
    case SYS_IOCTL: return file_ioctl(a, b, c);
    case SYS_FCNTL: return file_control(a, b, c);
    case SYS_READLINK: return read_link(a, b, c);
    case SYS_READLINKAT: return read_link(b, c, d);
    case SYS_GETCWD: return b < 2 ? -EINVAL : user_write(a, "/", 2) < 0 ? -EFAULT : 2;
    case SYS_MMAP: return call_mmap(a, b, c, d);
    case SYS_MUNMAP: return call_munmap(a, b);
    case SYS_MPROTECT: return call_mprotect(a, b, c);
    case SYS_MREMAP: return call_mremap(a, b, c, d);
    case SYS_MADVISE: return call_madvise(a, b, c);
    case SYS_BRK: return call_brk(a);
    case SYS_POLL: return call_poll(a, b, (int32_t)c);
    case SYS_CLOCK_GETTIME: return call_clock_gettime(a, b);
    case SYS_CLOCK_GETRES: return b ? user_write(b, (uint64_t[]){0, 1}, 16) : 0;
    case SYS_CLOCK_NANOSLEEP: return call_clock_nanosleep(a, b, c);
    case SYS_GETTIMEOFDAY: return call_gettimeofday(a);
    case SYS_TIME: return call_time(a);
    case SYS_GETRANDOM: return get_random(a, b);
    case SYS_UNAME: return name_system(a);
    case SYS_PRLIMIT64: return limits(b, d);
    case SYS_ARCH_PRCTL: return set_up_thread(a, b);
    case SYS_FUTEX: return (b & FUTEX_COMMAND) == FUTEX_WAKE ? 0 : note_unknown(number);
    case SYS_GETPID:
    case SYS_GETTID:
    case SYS_SET_TID_ADDRESS: return 1;
    case SYS_GETUID:
    case SYS_GETGID:
    case SYS_GETEUID:
    case SYS_GETEGID:
    case SYS_SCHED_YIELD:
    case SYS_RT_SIGACTION: /* no signal ever comes */
    case SYS_RT_SIGPROCMASK:
    case SYS_SIGALTSTACK:
    case SYS_SET_ROBUST_LIST: return 0;
    case SYS_RSEQ: return -ENOSYS; /* glibc asks once and does without */
    case SYS_EXIT:
    case SYS_EXIT_GROUP: end(a);
    default: return note_unknown(number);
    }
}

void system_call(struct frame *frame)
{
    uint64_t number = frame->rax;

    if (start_system_call(frame))
        return;
    frame->rax = (uint64_t)serve(number, frame->rdi, frame->rsi, frame->rdx, frame->r10);
    trap_note(number, frame->rax);
}
