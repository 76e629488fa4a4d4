/* The start (start.h). */

#include "clock.h"
#include "cpio.h"
#include "elf.h"
#include "end.h"
#include "entropy.h"
#include "files.h"
#include "host.h"
#include "memory.h"
#include "paging.h"
#include "processor.h"
#include "selectors.h"
#include "start.h"
#include "syscall_memory.h"
#include "text.h"

#define PAYLOAD_START 0x400000ul /* layout.ld */
#define PROBE_ADDRESS MMAP_START
#define PROGRAM "/init"
#define MAX_ARGUMENTS 64
#define MIN_FREE (20ul << 20) /* below that the interpreter does not come up */

enum stage { BOOTING, PROBING, STARTING, RUNNING };

enum { AT_NULL = 0, AT_PHDR = 3, AT_PHENT = 4, AT_PHNUM = 5, AT_PAGESZ = 6, AT_ENTRY = 9, AT_UID = 11, AT_EUID = 12,
       AT_GID = 13, AT_EGID = 14, AT_CLKTCK = 17, AT_SECURE = 23, AT_RANDOM = 25, AT_EXECFN = 31 };

extern char probe_code[];

static enum stage stage;

_Noreturn void kmain(const struct hvt_boot_info *info);

bool start_is_probing(void)
{
    return stage == PROBING;
}

static phys_t frame_of(const uint8_t *byte)
{
    return (phys_t)byte - DIRECT_MAP;
}

_Noreturn void kmain(const struct hvt_boot_info *info)
{
    const char *problem = host_init(info);
    phys_t free_start;

    processor_init(host_memory());
    if (problem)
        refuse_to_boot(problem);
    if (host_mtu() < 576 || host_memory() <= host_kernel_end() || host_cycles() == 0)
        refuse_to_boot("the tender's figures make no sense");
    clock_init(host_cycles());
    free_start = (host_kernel_end() + PAGE_MASK) & ~PAGE_MASK;
    if (host_memory() < free_start + MIN_FREE)
        refuse_to_boot("not enough memory: give --mem=64 or more");
    memory_init(free_start, host_memory() & ~PAGE_MASK);
    space_init(processor_page_tables());
    if (space_map(PROBE_ADDRESS, (phys_t)probe_code, PROT_READ | PROT_EXEC, false) < 0)
        refuse_to_boot("not enough memory for page tables");
    stage = PROBING;
    enter_user(PROBE_ADDRESS, 0);
}

/* The words of the command line; argument 0 is the program's path. Returns how many. */
static size_t split_arguments(char *text, char *words[MAX_ARGUMENTS])
{
    size_t count = 0;

    while (*text && count < MAX_ARGUMENTS) {
        while (*text == ' ')
            *text++ = '\0';
        if (*text == '\0')
            break;
        words[count++] = text;
        while (*text && *text != ' ')
            text++;
    }
    if (*text)
        refuse_to_boot("more than 64 words of arguments");
    return count;
}

/* Strings, then the vectors that the program finds at its first stack pointer (System V ABI, x86_64, figure 3.9). */
static uint64_t build_stack(const struct program *program)
{
    static char arguments[HVT_CMDLINE_SIZE + sizeof PROGRAM + 1];
    char *words[MAX_ARGUMENTS];
    size_t count, length;
    uint64_t vectors[MAX_ARGUMENTS + 64], random_at, text_at, at;
    size_t n = 0;
    uint8_t random[16];

    arguments[0] = '\0';
    memcpy(arguments, PROGRAM " ", sizeof PROGRAM);
    length = strlen(host_arguments());
    if (length >= HVT_CMDLINE_SIZE)
        length = HVT_CMDLINE_SIZE - 1;
    memcpy(arguments + sizeof PROGRAM, host_arguments(), length);
    count = split_arguments(arguments, words);
    text_at = STACK_TOP - sizeof arguments;
    random_at = (text_at - sizeof random) & ~15ul;
    entropy_bytes(random, sizeof random);
    vectors[n++] = count;
    for (size_t i = 0; i < count; i++)
        vectors[n++] = text_at + (uint64_t)(words[i] - arguments);
    vectors[n++] = 0;
    vectors[n++] = 0; /* no environment */
    uint64_t auxiliary[][2] = {
        {AT_PHDR, program->headers}, {AT_PHENT, ELF_HEADER_SIZE}, {AT_PHNUM, program->header_count},
        {AT_PAGESZ, PAGE_SIZE}, {AT_ENTRY, program->entry}, {AT_UID, 0}, {AT_EUID, 0}, {AT_GID, 0}, {AT_EGID, 0},
        {AT_CLKTCK, 100}, {AT_SECURE, 0}, {AT_RANDOM, random_at}, {AT_EXECFN, text_at}, {AT_NULL, 0},
    };
    memcpy(vectors + n, auxiliary, sizeof auxiliary);
    n += sizeof auxiliary / sizeof vectors[0];
    at = (random_at - n * sizeof vectors[0]) & ~15ul;
    if (user_write(text_at, arguments, sizeof arguments) < 0 || user_write(random_at, random, sizeof random) < 0 ||
        user_write(at, vectors, n * sizeof vectors[0]) < 0)
        refuse_to_boot("not enough memory for the stack");
    return at;
}

static void load_program(struct frame *frame)
{
    const uint8_t *payload = phys_to_virt(PAYLOAD_START);
    struct cpio_file file;
    struct program program;
    const char *problem;

    space_unmap(PROBE_ADDRESS, 1);
    if (!emulated_ring0)
        processor_lock();
    if (!entropy_init())
        refuse_to_boot("this processor has neither RDSEED nor RDRAND: no source of randomness");
    if (host_kernel_end() <= PAYLOAD_START || !cpio_init(payload, host_kernel_end() - PAYLOAD_START))
        refuse_to_boot("the image holds no whole archive");
    if (!cpio_find(PROGRAM, &file))
        refuse_to_boot("the image holds no " PROGRAM);
    problem = elf_load(&file, frame_of, &program);
    if (problem)
        refuse_to_boot(problem);
    if (!memory_commit(STACK_PAGES) ||
        space_reserve(STACK_TOP - STACK_PAGES * PAGE_SIZE, STACK_PAGES, PROT_READ | PROT_WRITE) < 0)
        refuse_to_boot("not enough memory for the stack");
    files_init();
    memory_calls_init(program.end);
    *frame = (struct frame){.vector = SYSCALL_VECTOR, .rip = program.entry, .cs = USER_CODE, .ss = USER_DATA,
                            .rflags = 2, .rsp = build_stack(&program)};
}

bool start_system_call(struct frame *frame)
{
    if (stage == RUNNING)
        return false;
    if (stage == PROBING && frame->rax == CALL_PROBE) {
        stage = STARTING;
        return true;
    }
    if (stage == STARTING && frame->rax == CALL_START) {
        load_program(frame);
        stage = RUNNING;
        return true;
    }
    refuse_to_boot("the probe went astray");
}
