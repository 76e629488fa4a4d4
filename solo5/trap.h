/* Exceptions. */

#ifndef HOGNOSE_TRAP_H
#define HOGNOSE_TRAP_H

#include "frame.h"

/* Entered from entry.S for every exception: fills promised pages, ends the machine with a report for all else. */
void trap(struct frame *frame);

/* Note a system call for the report. */
void trap_note(uint64_t number, uint64_t result);

#endif
