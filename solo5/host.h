/*
 * The tender's services. Buffers are the nano-kernel's own static memory (identity-mapped and contiguous): nothing of the
 * application's is ever handed to the tender.
 */

#ifndef HOGNOSE_HOST_H
#define HOGNOSE_HOST_H

#include "hvt.h"
#include "machine.h"

/* Take the boot information; NULL, or why this manifest cannot be served. */
const char *host_init(const struct hvt_boot_info *info);

const char *host_arguments(void); /* words after the image's name, joined by blanks */
uint64_t host_memory(void);       /* bytes */
uint64_t host_kernel_end(void);   /* first address after what was loaded */
uint64_t host_cycles(void);       /* of the time stamp counter, per second */
uint64_t host_block_size(void);   /* bytes of the storage device */
const uint8_t *host_mac(void);    /* 6 bytes */
uint32_t host_mtu(void);

/* Write to the console. */
void host_print(const char *text, size_t len);

/* Nanoseconds since 1970. */
uint64_t host_wall_clock(void);

/* Wait for a frame, at most so long; true when one is there. */
bool host_wait(uint64_t timeout_ns);

/* Read from the storage device into own memory; 0 or -EIO. */
int host_block_read(uint64_t offset, void *to, size_t len);

/* One frame; its length, 0 when there is none, or -EIO. */
long host_net_read(void *to, size_t size);

/* One frame of at most MTU + 14 bytes; 0 or -EIO. */
int host_net_write(const void *frame, size_t len);

/* The end: the tender's exit status. */
_Noreturn void host_halt(int status);

#endif
