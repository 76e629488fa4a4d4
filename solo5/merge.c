/* Frames that came (merge.h). Rules of what is merged are those of Linux (net/ipv4/tcp_offload.c, tcp_gro_receive). */

#include "merge.h"
#include "sum.h"
#include "text.h"

#define IPV4_MAX 65535ul

/* Right, and there is one at all: UDP may do without (RFC 768). */
static bool checksum_is_right(const struct packet *packet, const uint8_t *frame)
{
    size_t l4_len = packet->end - packet->l4;

    if (packet->protocol == PROTOCOL_UDP && get16(frame + packet->checksum) == 0)
        return false;
    return sum_fold(sum_add(packet_pseudo_sum(packet, frame, l4_len), frame + packet->l4, l4_len)) == 0xffff;
}

static bool ipv4_checksum_is_right(const struct packet *packet, const uint8_t *frame)
{
    return sum_fold(sum_add(0, frame + IPV4_AT, packet->l4 - IPV4_AT)) == 0xffff;
}

void merge_begin(struct merge *merge, uint8_t *frame, size_t len)
{
    struct packet *packet = &merge->packet;

    *merge = (struct merge){.frame = frame, .len = len, .count = 1};
    if (!packet_parse(packet, frame, len) || !checksum_is_right(packet, frame))
        return;
    merge->valid = true;
    merge->size = packet->end - packet->payload;
    merge->open = packet->protocol == PROTOCOL_TCP && merge->size > 0 && packet->l4 == IPV4_AT + IPV4_HDR_MIN &&
                  frame[packet->l4 + TCP_FLAGS] == TCP_ACK && ipv4_checksum_is_right(packet, frame);
}

static bool equal(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
    return memcmp(a + from, b + from, to - from) == 0;
}

/* Everything in the headers that two segments of one super-frame have in common; both have one layout. */
static bool same_headers(const struct merge *merge, const uint8_t *b)
{
    const struct packet *packet = &merge->packet;
    const uint8_t *a = merge->frame;
    size_t ip = IPV4_AT, tcp = packet->l4;

    return equal(a, b, tcp, tcp + TCP_SEQUENCE) && equal(a, b, ip + IPV4_ADDRESSES, ip + IPV4_HDR_MIN) &&
           equal(a, b, tcp + TCP_ACKNOWLEDGMENT, tcp + TCP_FLAGS) &&
           ((a[tcp + TCP_FLAGS] ^ b[tcp + TCP_FLAGS]) & ~TCP_PSH) == 0 &&
           equal(a, b, tcp + TCP_WINDOW, tcp + TCP_CHECKSUM) && equal(a, b, tcp + TCP_URGENT, packet->payload) &&
           equal(a, b, 0, ip + IPV4_LENGTH) && equal(a, b, ip + IPV4_FRAGMENT, ip + IPV4_CHECKSUM);
}

bool merge_add(struct merge *merge, const uint8_t *frame, size_t len)
{
    struct packet *packet = &merge->packet, other;
    uint32_t next = get32(merge->frame + packet->l4 + TCP_SEQUENCE) + (uint32_t)(packet->end - packet->payload);
    size_t size;

    if (!packet_parse(&other, frame, len) || other.protocol != PROTOCOL_TCP || other.l4 != packet->l4 ||
        other.payload != packet->payload || get32(frame + other.l4 + TCP_SEQUENCE) != next ||
        !same_headers(merge, frame))
        return false;
    size = other.end - other.payload;
    if (size == 0 || size > merge->size || packet->end + size > IPV4_AT + IPV4_MAX ||
        !ipv4_checksum_is_right(&other, frame) || !checksum_is_right(&other, frame))
        return false;
    memcpy(merge->frame + packet->end, frame + other.payload, size);
    packet->end += size;
    merge->count++;
    merge->frame[packet->l4 + TCP_FLAGS] = frame[other.l4 + TCP_FLAGS];
    merge->open = size == merge->size && frame[other.l4 + TCP_FLAGS] == TCP_ACK && merge->count < MERGE_MAX;
    return true;
}

void merge_finish(struct merge *merge, struct vnet *vnet)
{
    const struct packet *packet = &merge->packet;
    uint8_t *ip = merge->frame + IPV4_AT;
    uint16_t sum;

    *vnet = (struct vnet){.flags = merge->valid ? VNET_DATA_VALID : 0};
    if (merge->count == 1)
        return;
    merge->len = packet->end;
    put16(ip + IPV4_LENGTH, (uint16_t)(packet->end - IPV4_AT));
    put16(ip + IPV4_CHECKSUM, 0);
    put_checksum(ip + IPV4_CHECKSUM, sum_fold(sum_add(0, ip, IPV4_HDR_MIN)), false);
    sum = sum_fold(packet_pseudo_sum(packet, merge->frame, packet->end - packet->l4));
    __builtin_memcpy(merge->frame + packet->checksum, &sum, sizeof sum); /* partial, as the virtio-net header says */
    *vnet = (struct vnet){
        .flags = VNET_NEEDS_CSUM,
        .gso_type = VNET_GSO_TCPV4,
        .hdr_len = (uint16_t)packet->payload,
        .gso_size = (uint16_t)merge->size,
        .csum_start = (uint16_t)packet->l4,
        .csum_offset = (uint16_t)(packet->checksum - packet->l4),
    };
}
