/* A small hvt tender for tests, written from the ABI (solo5/hvt.h): refuses what solo5-hvt refuses, runs the rest. */

#ifndef TENDER_H
#define TENDER_H

#include <stdint.h>

#include "hvt.h"

#define PAGE 4096ul

/* What the command line said, and what has been made of it. */
struct tender {
    uint64_t mem_size;
    const char *image;
    char **arguments; /* of the guest, NULL at the end */
    uint8_t *memory;
    uint64_t entry, kernel_end;
    struct mft *mft; /* copy of the image's, devices attached */
    int fds[MFT_MAX_ENTRIES];
    uint64_t cycles;
};

/* One line on standard error and status 1, as the real one does. */
_Noreturn void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* elf.c: the image into memory, or refuse. */
void load_image(struct tender *tender);

/* devices.c: --net:NAME=IFACE, --block:NAME=PATH, --net-mac:NAME=MAC; 0 when the word is something else. */
int attach_device(struct tender *tender, const char *word);
void check_devices(const struct tender *tender);

/* Carry out hypercall `number`; the guest's exit status when it halts, else -1. */
int serve_call(struct tender *tender, unsigned number, uint32_t address);

#endif
