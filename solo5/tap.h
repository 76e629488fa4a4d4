/*
 * /dev/tap, the frame device of docs/dev/device.md: every frame has a 12-byte virtio-net header. Checksums and the
 * cutting of what is sent are done here (segment.h), and so are the checksums and the merging of what came (merge.h).
 * One frame is read ahead, so that poll tells the truth, and one more that could not be merged. A read takes what is
 * there, and never waits for more.
 */

#ifndef HOGNOSE_TAP_H
#define HOGNOSE_TAP_H

#include "files.h"

/* One frame, or segments that were all there; -EAGAIN when there is none. What does not fit the buffers is cut off. */
long tap_read(struct open_file *file, struct vector *to);

/* One frame or super-frame; -EINVAL when segments_begin refuses it: nothing of it leaves then. */
long tap_write(struct open_file *file, struct vector *from);

/* The TUN requests of docs/dev/device.md; -EINVAL for TUNSETOFFLOAD with anything but CSUM, TSO4 with it, or 0. */
long tap_ioctl(uint64_t request, uint64_t argument);

/* A frame is there. */
bool tap_readable(void);

#endif
