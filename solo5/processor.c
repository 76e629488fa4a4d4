/* The processor (processor.h). */

#include "paging.h"
#include "processor.h"
#include "selectors.h"
#include "text.h"

#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define EFER_SCE 1ul
#define EFER_NXE (1ul << 11)
#define CR0_MP 2ul
#define CR4_UMIP (1ul << 11)
#define CR4_OSXSAVE (1ul << 18)
#define CR4_SMEP (1ul << 20)
#define CR4_SMAP (1ul << 21)
#define XSTATE_WANTED 0xe7ul /* x87, SSE, AVX, AVX-512; AMX would need a kernel that manages it */
#define FLAGS_CLEARED 0x47700ul /* trap, interrupt, direction, IOPL, nested task, alignment check */

struct gate {
    uint16_t offset_low, selector;
    uint8_t stack, type;
    uint16_t offset_middle;
    uint32_t offset_high, zero;
};

struct __attribute__((packed)) task_state {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, io_map;
};

struct __attribute__((packed)) table_register {
    uint16_t limit;
    uint64_t base;
};

extern void (*const exception_entries[EXCEPTIONS])(void);
extern char exception_stack_top[], syscall_entry[];
extern char kernel_text_end[], kernel_rodata_end[], kernel_end[], kernel_text[];

/* null, code, data, (unused), user data, user code, TSS in two halves */
static uint64_t gdt[8] = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0x00cff3000000ffff, 0x00affb000000ffff, 0, 0};
static struct gate idt[EXCEPTIONS];
static struct task_state tss;

bool emulated_ring0;

#define ENTRIES 512
#define LARGE_PAGE (2ul << 20)
#define LOW_TABLES 2 /* page tables for the memory below USER_START */
#define MAX_DIRECTORIES 4

static uint64_t pml4[ENTRIES] __attribute__((aligned(4096)));
static uint64_t low_pdpt[ENTRIES] __attribute__((aligned(4096)));
static uint64_t low_directory[ENTRIES] __attribute__((aligned(4096)));
static uint64_t low_table[LOW_TABLES][ENTRIES] __attribute__((aligned(4096)));
static uint64_t direct_pdpt[ENTRIES] __attribute__((aligned(4096)));
static uint64_t direct_directory[MAX_DIRECTORIES][ENTRIES] __attribute__((aligned(4096)));

static void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
    __asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(sub));
}

static uint64_t read_cr4(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr4, %0" : "=r"(value));
    return value;
}

static void write_cr4(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

uint64_t read_cr2(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}

static void segments_init(void)
{
    uint64_t base = (uint64_t)&tss;
    struct table_register gdtr = {sizeof gdt - 1, (uint64_t)gdt};
    struct table_register idtr = {sizeof idt - 1, (uint64_t)idt};

    tss.ist[0] = (uint64_t)exception_stack_top;
    tss.rsp[0] = (uint64_t)exception_stack_top;
    tss.io_map = sizeof tss; /* no port for ring 3 */
    gdt[6] = (sizeof tss - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
    gdt[7] = base >> 32;
    for (int i = 0; i < EXCEPTIONS; i++) {
        uint64_t entry = (uint64_t)exception_entries[i];

        idt[i] = (struct gate){(uint16_t)entry, KERNEL_CODE, 1, 0x8e, (uint16_t)(entry >> 16), (uint32_t)(entry >> 32), 0};
    }
    __asm__ volatile("lgdt %0; lidt %1" : : "m"(gdtr), "m"(idtr));
    __asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:" : : "i"(KERNEL_CODE) : "rax", "memory");
    __asm__ volatile("movw %w0, %%ds; movw %w0, %%es; movw %w0, %%ss" : : "r"(KERNEL_DATA));
    __asm__ volatile("movw %w0, %%fs; movw %w0, %%gs" : : "r"(0));
    __asm__ volatile("ltr %w0" : : "r"(TASK_STATE));
}

static void modes_init(void)
{
    uint32_t features[4], xstate[4];
    uint64_t cr0;

    cpuid(1, 0, features);
    __asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("movq %0, %%cr0" : : "r"(cr0 | CR0_MP));
    if (features[2] & 1u << 26) { /* XSAVE */
        uint64_t wanted;

        write_cr4(read_cr4() | CR4_OSXSAVE);
        cpuid(0xd, 0, xstate);
        wanted = ((uint64_t)xstate[3] << 32 | xstate[0]) & XSTATE_WANTED;
        if ((wanted & 0xe0) != 0xe0)
            wanted &= ~0xe0ul; /* the three parts of AVX-512 only together */
        __asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)wanted), "d"((uint32_t)(wanted >> 32)));
    }
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE | EFER_NXE);
    write_msr(MSR_STAR, (uint64_t)(USER_DATA - 8) << 48 | (uint64_t)KERNEL_CODE << 32);
    write_msr(MSR_LSTAR, (uint64_t)syscall_entry);
    write_msr(MSR_FMASK, FLAGS_CLEARED);
}

/* What ring 0 may do with a page below USER_START: code, constants, data, and the tender's boot information. */
static uint64_t low_page(uint64_t address)
{
    if (address < 0x10000)
        return 0;
    if (address < 0x100000)
        return address | PTE_PRESENT | PTE_NX;
    if (address < (uint64_t)kernel_text_end)
        return address | PTE_PRESENT;
    if (address < (uint64_t)kernel_rodata_end)
        return address | PTE_PRESENT | PTE_NX;
    if (address < (uint64_t)kernel_end)
        return address | PTE_PRESENT | PTE_WRITE | PTE_NX;
    return 0;
}

static void page_tables_init(uint64_t mem_size)
{
    for (uint64_t i = 0; i < LOW_TABLES * ENTRIES; i++)
        low_table[i / ENTRIES][i % ENTRIES] = low_page(i * PAGE_SIZE);
    for (int i = 0; i < LOW_TABLES; i++)
        low_directory[i] = (uint64_t)low_table[i] | PTE_PRESENT | PTE_WRITE;
    low_pdpt[0] = (uint64_t)low_directory | PTE_PRESENT | PTE_WRITE | PTE_USER; /* the application's tables go on here */
    pml4[0] = (uint64_t)low_pdpt | PTE_PRESENT | PTE_WRITE | PTE_USER;
    for (uint64_t at = 0; at < mem_size; at += LARGE_PAGE)
        direct_directory[at >> 30][at / LARGE_PAGE % ENTRIES] = at | PTE_PRESENT | PTE_WRITE | PTE_LARGE | PTE_NX;
    for (int i = 0; i < MAX_DIRECTORIES; i++)
        direct_pdpt[i] = (uint64_t)direct_directory[i] | PTE_PRESENT | PTE_WRITE;
    pml4[DIRECT_MAP >> 39] = (uint64_t)direct_pdpt | PTE_PRESENT | PTE_WRITE;
    __asm__ volatile("movq %0, %%cr3" : : "r"(pml4) : "memory");
}

void processor_init(uint64_t mem_size)
{
    segments_init();
    modes_init();
    page_tables_init(mem_size);
}

phys_t processor_page_tables(void)
{
    return (phys_t)pml4;
}

void processor_open_to_ring_3(void)
{
    for (int i = 0; i < LOW_TABLES * ENTRIES; i++) {
        if (low_table[i / ENTRIES][i % ENTRIES])
            low_table[i / ENTRIES][i % ENTRIES] |= PTE_USER;
    }
    for (int i = 0; i < LOW_TABLES; i++)
        low_directory[i] |= PTE_USER;
    for (int i = 0; i < MAX_DIRECTORIES * ENTRIES; i++) {
        if (direct_directory[i / ENTRIES][i % ENTRIES])
            direct_directory[i / ENTRIES][i % ENTRIES] |= PTE_USER;
    }
    for (int i = 0; i < MAX_DIRECTORIES; i++)
        direct_pdpt[i] |= PTE_USER;
    pml4[DIRECT_MAP >> 39] |= PTE_USER;
    privileged_here(FLUSH_TLB, 0);
}

void privileged_here(enum privileged_operation operation, uint64_t value)
{
    uint32_t features[4];

    switch (operation) {
    case SET_FS_BASE:
        write_msr(MSR_FS_BASE, value);
        break;
    case FLUSH_TLB:
        __asm__ volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
        break;
    case LOCK:
        cpuid(7, 0, features);
        write_cr4(read_cr4() | (features[1] & 1u << 7 ? CR4_SMEP : 0) | (features[1] & 1u << 20 ? CR4_SMAP : 0) |
                  (features[2] & 1u << 2 ? CR4_UMIP : 0));
        break;
    }
}

void processor_lock(void)
{
    privileged(LOCK, 0);
}

void flush_tlb(void)
{
    privileged(FLUSH_TLB, 0);
}

bool hardware_random(uint64_t *value)
{
    static bool known, has_rdrand, has_rdseed;
    uint8_t done = 0;

    if (!known) {
        uint32_t leaf[4];

        cpuid(1, 0, leaf);
        has_rdrand = leaf[2] & 1u << 30;
        cpuid(0, 0, leaf);
        if (leaf[0] >= 7) {
            cpuid(7, 0, leaf);
            has_rdseed = leaf[1] & 1u << 18;
        }
        known = true;
    }
    for (int tries = 0; tries < 32 && !done; tries++) {
        if (has_rdseed)
            __asm__ volatile("rdseed %0; setc %1" : "=r"(*value), "=qm"(done) : : "cc");
        if (!done && has_rdrand)
            __asm__ volatile("rdrand %0; setc %1" : "=r"(*value), "=qm"(done) : : "cc");
    }
    return done;
}
