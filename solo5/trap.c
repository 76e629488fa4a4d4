/* Exceptions (trap.h). */

#include "end.h"
#include "host.h"
#include "paging.h"
#include "processor.h"
#include "selectors.h"
#include "start.h"
#include "text.h"
#include "trap.h"

#define INVALID_OPCODE 6
#define PAGE_FAULT 14
#define FAULT_WRITE 2u
#define FAULT_FETCH 16u
#define NOTES 32

static struct note {
    uint32_t number;
    int32_t result;
} notes[NOTES];
static unsigned noted;

extern char syscall_entry[], escape_privileged[];

void trap_note(uint64_t number, uint64_t result)
{
    notes[noted++ % NOTES] = (struct note){(uint32_t)number, (int32_t)result};
}

/* Where it happened and what led to it; the application's memory is not shown. */
static _Noreturn void crash(const struct frame *frame)
{
    bool of_application = (frame->cs & 3) && (!emulated_ring0 || frame->rip >= USER_START);
    struct line line = {.len = 0};

    line_text(&line, of_application ? "nano-kernel: the program crashed: vector " : "nano-kernel: a bug: vector ");
    line_number(&line, frame->vector);
    line_text(&line, " error ");
    line_hex(&line, frame->error);
    line_text(&line, " rip ");
    line_hex(&line, frame->rip);
    line_text(&line, " rsp ");
    line_hex(&line, frame->rsp);
    line_text(&line, " cr2 ");
    line_hex(&line, read_cr2());
    end_say(&line);
    line_text(&line, "nano-kernel: last system calls (number=result):");
    for (unsigned i = noted > NOTES ? noted - NOTES : 0; i < noted; i++) {
        const struct note *note = &notes[i % NOTES];

        line_text(&line, " ");
        line_number(&line, note->number);
        line_text(&line, note->result < 0 ? "=-" : "=");
        line_number(&line, (uint64_t)(note->result < 0 ? -(int64_t)note->result : note->result));
    }
    end_say(&line);
    host_halt(of_application ? EXIT_APPLICATION_CRASH : EXIT_KERNEL_CRASH);
}

/* Only while start.c probes: ring 3 fetched the first instruction of the system call path and was not let. */
static bool is_emulated_syscall(const struct frame *frame)
{
    return start_is_probing() && frame->vector == PAGE_FAULT && (frame->cs & 3) &&
           frame->rip == (uint64_t)syscall_entry;
}

void trap(struct frame *frame)
{
    if (frame->vector == PAGE_FAULT && (frame->cs & 3)) {
        uint64_t address = read_cr2();
        int access = frame->error & FAULT_FETCH ? PROT_EXEC : frame->error & FAULT_WRITE ? PROT_WRITE : PROT_READ;

        if (is_emulated_syscall(frame)) {
            emulated_ring0 = true;
            processor_open_to_ring_3();
            return;
        }
        /* A fault on a page that is there and may be accessed so would only come again. */
        if (!(frame->error & 1) && space_touch(address, access))
            return;
    }
    if (frame->vector == INVALID_OPCODE && emulated_ring0 && frame->rip == (uint64_t)escape_privileged) {
        privileged_here((enum privileged_operation)frame->rdi, frame->rsi);
        frame->rip += 2;
        return;
    }
    crash(frame);
}
