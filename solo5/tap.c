/* The frame device (tap.h). */

#include "host.h"
#include "merge.h"
#include "segment.h"
#include "tap.h"
#include "text.h"

#define FRAME_MAX (ETHERNET_HDR_LEN + 65535)

/* linux/if_tun.h, linux/sockios.h */
#define TUNSETIFF 0x400454ca
#define TUNSETOFFLOAD 0x400454d0
#define TUNGETIFF 0x800454d2
#define TUNSETSNDBUF 0x400454d4
#define TUNSETVNETHDRSZ 0x400454d8
#define SIOCGIFHWADDR 0x8927
#define TUN_F_CSUM 0x01
#define TUN_F_TSO4 0x02
#define IFF_TAP 0x0002
#define IFF_NO_PI 0x1000
#define IFF_VNET_HDR 0x4000
#define FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define ARPHRD_ETHER 1

struct __attribute__((packed)) request {
    char name[16];
    uint16_t family_or_flags;
    uint8_t address[6];
    uint8_t padding[16];
};

_Static_assert(sizeof(struct request) == 40, "struct ifreq");

static uint8_t buffers[2][VNET_HDR_LEN + FRAME_MAX] __attribute__((aligned(4096)));
static uint8_t *incoming = buffers[0], *ahead = buffers[1];
static size_t waiting, ahead_len; /* bytes of the frames that were read ahead, the next and the one after it */
static bool merging;              /* the program takes super-frames */
static bool drained;              /* there was no frame after the last one: the next read need not ask again */
/* A byte more, by which a frame that is too long is known. */
static uint8_t outgoing[VNET_HDR_LEN + FRAME_MAX + 1] __attribute__((aligned(4096)));

static size_t next_frame(uint8_t *to)
{
    long len = host_net_read(to + VNET_HDR_LEN, FRAME_MAX);

    return len > 0 ? (size_t)len : 0;
}

bool tap_readable(void)
{
    drained = false;
    if (waiting == 0 && ahead_len) {
        uint8_t *read = incoming;

        incoming = ahead;
        ahead = read;
        waiting = ahead_len;
        ahead_len = 0;
    } else if (waiting == 0) {
        waiting = next_frame(incoming);
    }
    return waiting != 0;
}

long tap_read(struct open_file *file, struct vector *to)
{
    bool none = drained;
    struct merge merge;
    struct vnet vnet;

    (void)file;
    drained = false;
    if (none || !tap_readable())
        return -EAGAIN;
    merge_begin(&merge, incoming + VNET_HDR_LEN, waiting);
    while (merging && merge.open && ahead_len == 0 && !drained) {
        ahead_len = next_frame(ahead);
        drained = ahead_len == 0;
        if (ahead_len && merge_add(&merge, ahead + VNET_HDR_LEN, ahead_len))
            ahead_len = 0;
    }
    merge_finish(&merge, &vnet);
    memcpy(incoming, &vnet, sizeof vnet);
    waiting = 0;
    return vector_put(to, incoming, VNET_HDR_LEN + merge.len);
}

long tap_write(struct open_file *file, struct vector *from)
{
    static struct segments segments;
    long count = vector_get(from, outgoing, sizeof outgoing);
    const uint8_t *frame;
    struct vnet vnet;
    size_t len;

    (void)file;
    if (count < 0)
        return count;
    if (count < VNET_HDR_LEN)
        return -EINVAL;
    memcpy(&vnet, outgoing, sizeof vnet);
    if (segments_begin(&segments, &vnet, outgoing + VNET_HDR_LEN, (size_t)count - VNET_HDR_LEN, host_mtu()) < 0)
        return -EINVAL;
    while ((frame = segments_next(&segments, &len)) != NULL) {
        if (host_net_write(frame, len) < 0)
            return -EIO;
    }
    return count;
}

static long set_interface(uint64_t argument)
{
    struct request request;

    if (user_read(&request, argument, sizeof request) < 0)
        return -EFAULT;
    return request.family_or_flags == FLAGS ? 0 : -EINVAL;
}

static long get_interface(uint64_t argument, uint16_t family_or_flags, const uint8_t address[6])
{
    struct request request = {.name = "tap0", .family_or_flags = family_or_flags};

    if (address)
        memcpy(request.address, address, sizeof request.address);
    return user_write(argument, &request, sizeof request);
}

long tap_ioctl(uint64_t request, uint64_t argument)
{
    int32_t value;

    switch ((uint32_t)request) {
    case TUNSETIFF:
        return set_interface(argument);
    case TUNGETIFF:
        return get_interface(argument, FLAGS, NULL);
    case SIOCGIFHWADDR:
        return get_interface(argument, ARPHRD_ETHER, host_mac());
    case TUNSETVNETHDRSZ:
        if (user_read(&value, argument, sizeof value) < 0)
            return -EFAULT;
        return value == VNET_HDR_LEN ? 0 : -EINVAL;
    case TUNSETOFFLOAD: /* takes its argument by value */
        if (argument != 0 && argument != TUN_F_CSUM && argument != (TUN_F_CSUM | TUN_F_TSO4))
            return -EINVAL;
        merging = argument & TUN_F_TSO4;
        return 0;
    case TUNSETSNDBUF:
        return 0;
    default:
        return -ENOTTY;
    }
}
