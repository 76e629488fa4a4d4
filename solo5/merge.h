/*
 * Frames that came, as a device with checksum offload and large receive hands them out (docs/dev/device.md): a checksum
 * that was found right is vouched for, and TCP segments that continue each other become one super-frame. Bounds:
 * MERGE_MAX segments, 65,535 bytes of IPv4.
 */

#ifndef HOGNOSE_MERGE_H
#define HOGNOSE_MERGE_H

#include "packet.h"

#define MERGE_MAX 64

struct merge {
    uint8_t *frame; /* room for ETHERNET_HDR_LEN + 65535 bytes */
    size_t len;
    struct packet packet; /* end goes on with every segment */
    size_t count;         /* of segments */
    size_t size;          /* payload bytes of the first, which no other exceeds */
    bool valid;           /* the checksum of TCP or UDP is right */
    bool open;            /* another segment may be added */
};

/* Begin with one frame, whatever it is. */
void merge_begin(struct merge *merge, uint8_t *frame, size_t len);

/*
 * Add a frame to an open one: the next segment of the same connection, whole, with right checksums, and with the same
 * headers but for lengths, IDs, checksums, and PSH on the last. False, and nothing is changed, for any other frame.
 */
bool merge_add(struct merge *merge, const uint8_t *frame, size_t len);

/* The end: headers of the whole, and its virtio-net header. */
void merge_finish(struct merge *merge, struct vnet *vnet);

#endif
