/*
 * The hvt guest ABI of Solo5, version 2, x86_64: boot info, manifest, hypercalls.
 *
 * A hypercall is a 32-bit OUT of the guest-physical address of its argument struct to port 0x500 + number. Every struct
 * and buffer lies in physically contiguous memory below 4 GiB and below the memory's end.
 */

#ifndef HOGNOSE_HVT_H
#define HOGNOSE_HVT_H

#include <stddef.h>
#include <stdint.h>

#define HVT_PORT_BASE 0x500

enum hvt_call {
    HVT_WALLTIME = 1,
    HVT_PUTS = 2,
    HVT_POLL = 3,
    HVT_BLOCK_WRITE = 4,
    HVT_BLOCK_READ = 5,
    HVT_NET_WRITE = 6,
    HVT_NET_READ = 7,
    HVT_HALT = 8,
};

enum hvt_result { HVT_OK = 0, HVT_AGAIN = 1, HVT_EINVAL = 2, HVT_EUNSPEC = 3 };

/* What rdi points to at entry, at 0x10000. Tenders from 0.11 on append ring fields, which are not used. */
struct hvt_boot_info {
    uint64_t mem_size;
    uint64_t kernel_end;
    uint64_t cpu_cycle_freq;
    uint64_t cmdline;
    uint64_t mft;
};

#define HVT_CMDLINE_SIZE 8192

/* The manifest: entry 0 is reserved; the index of an entry is the handle of its device. */
#define MFT_VERSION 1
#define MFT_MAX_ENTRIES 64
#define MFT_BLOCK_BASIC 1
#define MFT_NET_BASIC 2
#define MFT_RESERVED_FIRST (1u << 30)

struct mft_entry {
    char name[68];
    uint32_t type;
    union {
        struct {
            uint64_t capacity;
            uint16_t block_size;
        } block;
        struct {
            uint8_t mac[6];
            uint16_t mtu;
        } net;
    } u;
    uint64_t backing;
    uint8_t attached;
    uint8_t padding[7];
};

struct mft {
    uint32_t version;
    uint32_t entries;
    struct mft_entry e[];
};

_Static_assert(sizeof(struct mft_entry) == 104, "manifest entry");
_Static_assert(offsetof(struct mft_entry, backing) == 88, "manifest entry");

struct hvt_walltime {
    uint64_t nsecs;
};

struct hvt_puts {
    uint64_t data;
    uint64_t len;
};

struct hvt_poll {
    uint64_t timeout_ns;
    uint64_t ready_set;
    int32_t ret;
};

struct hvt_block {
    uint64_t handle;
    uint64_t offset;
    uint64_t data;
    uint64_t len;
    int32_t ret;
};

struct hvt_net {
    uint64_t handle;
    uint64_t data;
    uint64_t len; /* in: size of the buffer or frame; out: size of the frame read */
    int32_t ret;
};

struct hvt_halt {
    uint64_t cookie;
    int32_t exit_status;
};

#endif
