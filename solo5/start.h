/* From the tender's entry to the program's first instruction. */

#ifndef HOGNOSE_START_H
#define HOGNOSE_START_H

#include <stdbool.h>

#include "frame.h"

/* True from the moment when ring 3 is first entered until its first system call has arrived. */
bool start_is_probing(void);

/*
 * System calls of the probe: true when this was one. The second one loads the program and makes the frame its first, on
 * hosts that emulate ring 0 thereby at full speed.
 */
bool start_system_call(struct frame *frame);

#endif
