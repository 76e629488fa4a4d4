/* The command line, the virtual processor, and its run loop (tender.h). */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tender.h"

#define GDT 0x1000
#define PML4 0x2000
#define PDPT 0x3000
#define DIRECTORIES 0x4000
#define TABLE 0x8000
#define BOOT_INFO 0x10000
#define CMDLINE 0x11000
#define MANIFEST 0x14000
#define LOWEST 0x100000ul
#define LARGE_PAGE (2ul << 20)
#define MAX_MEM (4ul << 30)

_Noreturn void refuse(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    fputs("test-tender: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(1);
}

static void on_signal(int number)
{
    static const char text[] = "test-tender: Exiting on signal\n";

    (void)number;
    if (write(2, text, sizeof text - 1) < 0)
        _exit(2);
    _exit(1);
}

/* Identity, ring 0 only: nothing below BOOT_INFO, read-only up to the image, the rest to be written. */
static void make_page_tables(struct tender *tender)
{
    uint64_t *pml4 = (uint64_t *)(tender->memory + PML4), *pdpt = (uint64_t *)(tender->memory + PDPT);
    uint64_t *directory = (uint64_t *)(tender->memory + DIRECTORIES), *table = (uint64_t *)(tender->memory + TABLE);

    pml4[0] = PDPT | 3;
    for (uint64_t i = 0; i < 4; i++)
        pdpt[i] = (DIRECTORIES + i * PAGE) | 3;
    directory[0] = TABLE | 3;
    for (uint64_t i = 1; i < tender->mem_size / LARGE_PAGE; i++)
        directory[i] = i * LARGE_PAGE | 0x83;
    for (uint64_t i = BOOT_INFO / PAGE; i < 512; i++)
        table[i] = i * PAGE | (i * PAGE < LOWEST ? 1 : 3);
}

static void make_boot_info(struct tender *tender)
{
    struct hvt_boot_info *info = (struct hvt_boot_info *)(tender->memory + BOOT_INFO);
    char *cmdline = (char *)tender->memory + CMDLINE;
    size_t used = 0;

    for (char **word = tender->arguments; *word; word++) {
        size_t len = strlen(*word);

        if (used + len + 2 > HVT_CMDLINE_SIZE)
            refuse("command line too long");
        if (used)
            cmdline[used++] = ' ';
        memcpy(cmdline + used, *word, len + 1);
        used += len;
    }
    memcpy(tender->memory + MANIFEST, tender->mft, sizeof *tender->mft + tender->mft->entries * sizeof tender->mft->e[0]);
    *info = (struct hvt_boot_info){tender->mem_size, tender->kernel_end, tender->cycles, CMDLINE, MANIFEST};
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, int code)
{
    return (struct kvm_segment){.selector = selector, .type = type, .present = 1, .s = 1, .l = code, .db = !code, .g = 1,
                                .limit = 0xffffffff};
}

static void set_registers(const struct tender *tender, int vcpu)
{
    struct kvm_sregs system;
    struct kvm_regs general = {.rip = tender->entry, .rdi = BOOT_INFO, .rsp = tender->mem_size - 8, .rflags = 2};
    uint64_t *gdt = (uint64_t *)(tender->memory + GDT);

    gdt[1] = 0x00af9b000000ffff;
    gdt[2] = 0x00cf93000000ffff;
    if (ioctl(vcpu, KVM_GET_SREGS, &system) < 0)
        err(1, "KVM_GET_SREGS");
    system.cr0 = 0x80010021;
    system.cr3 = PML4;
    system.cr4 = 0x620;
    system.efer = 0x500;
    system.cs = segment(8, 11, 1);
    system.ds = system.es = system.fs = system.gs = system.ss = segment(16, 3, 0);
    system.gdt = (struct kvm_dtable){.base = GDT, .limit = 23};
    system.idt = (struct kvm_dtable){.base = 0, .limit = 0};
    system.tr = (struct kvm_segment){.type = 11, .present = 1};
    system.ldt = (struct kvm_segment){.unusable = 1};
    if (ioctl(vcpu, KVM_SET_SREGS, &system) < 0 || ioctl(vcpu, KVM_SET_REGS, &general) < 0)
        err(1, "setting registers");
}

static void set_cpuid(int kvm, int vcpu)
{
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[256];
    } cpuid = {.head = {.nent = 256}};

    if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid) < 0 || ioctl(vcpu, KVM_SET_CPUID2, &cpuid) < 0)
        err(1, "setting CPUID");
}

static int run(struct tender *tender, int vcpu, struct kvm_run *state)
{
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue;
            err(1, "KVM_RUN");
        }
        if (state->exit_reason == KVM_EXIT_IO && state->io.direction == KVM_EXIT_IO_OUT && state->io.size == 4 &&
            state->io.count == 1 && state->io.port > HVT_PORT_BASE && state->io.port <= HVT_PORT_BASE + HVT_HALT) {
            uint32_t address = *(uint32_t *)((uint8_t *)state + state->io.data_offset);
            int status = serve_call(tender, state->io.port - HVT_PORT_BASE, address);

            if (status >= 0)
                return status;
            continue;
        }
        refuse("unhandled exit: reason %u", state->exit_reason);
    }
}

static int start(struct tender *tender)
{
    struct kvm_userspace_memory_region region = {0, 0, 0, tender->mem_size, (uint64_t)tender->memory};
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu, size;
    struct kvm_run *state;

    if (kvm < 0)
        err(1, "/dev/kvm");
    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    if (vm < 0 || ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        err(1, "making the machine");
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (vcpu < 0 || size < 0)
        err(1, "making the processor");
    state = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (state == MAP_FAILED)
        err(1, "mmap");
    tender->cycles = (uint64_t)ioctl(vcpu, KVM_GET_TSC_KHZ, 0) * 1000;
    make_page_tables(tender);
    make_boot_info(tender);
    set_cpuid(kvm, vcpu);
    set_registers(tender, vcpu);
    return run(tender, vcpu, state);
}

int main(int argc, char **argv)
{
    struct tender tender = {.mem_size = 512ul << 20};
    int first = 1;

    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    while (first < argc && strncmp(argv[first], "--", 2) == 0 && argv[first][2])
        first++;
    tender.arguments = argv + first;
    if (first < argc && strcmp(argv[first], "--") == 0)
        tender.arguments++;
    if (*tender.arguments == NULL)
        refuse("missing KERNEL operand");
    tender.image = *tender.arguments++;
    for (int i = 1; i < first; i++) {
        if (sscanf(argv[i], "--mem=%lu", &tender.mem_size) == 1)
            tender.mem_size = (tender.mem_size << 20) & ~(LARGE_PAGE - 1);
    }
    if (tender.mem_size < LARGE_PAGE || tender.mem_size > MAX_MEM)
        refuse("--mem is out of range");
    tender.memory = mmap(NULL, tender.mem_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tender.memory == MAP_FAILED)
        err(1, "guest memory");
    load_image(&tender);
    for (int i = 1; i < first; i++) {
        if (strncmp(argv[i], "--mem=", 6) != 0 && !attach_device(&tender, argv[i]))
            refuse("invalid option: %s", argv[i]);
    }
    check_devices(&tender);
    return start(&tender);
}
