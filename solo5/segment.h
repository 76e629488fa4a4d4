/*
 * Frames to send, as a device with checksum and segmentation offload sends them (docs/dev/device.md): partial checksums
 * are completed, super-frames are cut. Bounds: TCP_SEGMENTS_MAX and UDP_SEGMENTS_MAX frames out of one, none over
 * MTU + 14 bytes.
 */

#ifndef HOGNOSE_SEGMENT_H
#define HOGNOSE_SEGMENT_H

#include "packet.h"

#define TCP_SEGMENTS_MAX 1024
#define UDP_SEGMENTS_MAX 128 /* as Linux (UDP_MAX_SEGMENTS) */

struct segments {
    uint8_t *frame;
    size_t begin; /* of the payload */
    size_t at;    /* of the payload that was not sent yet */
    size_t end;
    size_t size; /* payload bytes of each frame but the last */
    bool cut;    /* a super-frame; else one frame, which is all payload */
    struct packet packet;
    uint8_t header[HEADERS_MAX]; /* of the super-frame */
};

/*
 * Begin with a frame of len bytes; it is changed in place, and must stay until the last of its frames was sent. 0, or
 * -EINVAL: it is no frame, its lengths lie, or it asks for something else than the offloads of docs/dev/device.md.
 */
int segments_begin(struct segments *segments, const struct vnet *vnet, uint8_t *frame, size_t len, size_t mtu);

/* The next frame and its length; NULL after the last one. It is good until the next call. */
const uint8_t *segments_next(struct segments *segments, size_t *len);

#endif
