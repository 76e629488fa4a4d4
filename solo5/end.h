/* The machine's end with a reason: last words on the console, and the tender's exit status. */

#ifndef HOGNOSE_END_H
#define HOGNOSE_END_H

#include "text.h"

/* Exit statuses of the tender beside the program's own (0 … 127). 255 is the tender's for "aborted". */
enum exit_status {
    EXIT_APPLICATION_CRASH = 254, /* an exception in the program */
    EXIT_KERNEL_CRASH = 253,      /* an exception in the nano-kernel: a bug */
    EXIT_BOOT = 252,              /* this machine or image cannot be started */
};

/* Print a line and make it empty. */
void end_say(struct line *line);

/* One line on the console and the end. Never returns. */
_Noreturn void refuse_to_boot(const char *reason);

#endif
