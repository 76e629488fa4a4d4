/*
 * Frames to send (segment.h). The header of each segment is written right before its payload, over the end of the one
 * before, which has left: no payload is ever copied.
 */

#include "machine.h"
#include "segment.h"
#include "sum.h"
#include "text.h"

/* Shape of a super-frame, all of it: whatever is not exactly as the virtio-net header says is refused. */
static bool is_super_frame(struct segments *segments, const struct vnet *vnet, size_t len, size_t mtu)
{
    const struct packet *packet = &segments->packet;
    bool tcp = vnet->gso_type != VNET_GSO_UDP_L4;
    size_t header_len, payload_len;

    if (!(vnet->flags & VNET_NEEDS_CSUM) || !packet_parse(&segments->packet, segments->frame, len))
        return false;
    header_len = packet->payload;
    payload_len = packet->end - packet->payload;
    return packet->protocol == (tcp ? PROTOCOL_TCP : PROTOCOL_UDP) && packet->end == len && payload_len > 0 &&
           vnet->hdr_len == header_len && vnet->csum_start == packet->l4 &&
           vnet->csum_offset == packet->checksum - packet->l4 && vnet->gso_size > 0 &&
           header_len + vnet->gso_size <= ETHERNET_HDR_LEN + mtu &&
           payload_len <= (size_t)vnet->gso_size * (tcp ? TCP_SEGMENTS_MAX : UDP_SEGMENTS_MAX);
}

int segments_begin(struct segments *segments, const struct vnet *vnet, uint8_t *frame, size_t len, size_t mtu)
{
    segments->frame = frame;
    segments->begin = segments->at = 0;
    segments->end = segments->size = len;
    segments->cut = false;
    if (len < ETHERNET_HDR_LEN || vnet->hdr_len > len ||
        vnet->flags & ~(VNET_NEEDS_CSUM | VNET_DATA_VALID))
        return -EINVAL;
    switch (vnet->gso_type) {
    case VNET_GSO_NONE:
        if (len > ETHERNET_HDR_LEN + mtu)
            return -EINVAL;
        return vnet->flags & VNET_NEEDS_CSUM && !packet_complete(vnet, frame, len) ? -EINVAL : 0;
    case VNET_GSO_TCPV4:
    case VNET_GSO_TCPV4 | VNET_GSO_ECN:
    case VNET_GSO_UDP_L4:
        break;
    default:
        return -EINVAL;
    }
    if (!is_super_frame(segments, vnet, len, mtu))
        return -EINVAL;
    segments->cut = true;
    segments->begin = segments->at = segments->packet.payload;
    segments->size = vnet->gso_size;
    memcpy(segments->header, frame, segments->begin);
    return 0;
}

/* The headers of the frame whose payload is at `at`: lengths, ID, checksums, and what TCP counts and marks. */
static void put_headers(const struct segments *segments, uint8_t *frame, size_t payload_len)
{
    const struct packet *packet = &segments->packet;
    size_t before = segments->at - segments->begin, l4_len = packet->payload - packet->l4 + payload_len;
    uint8_t *ip = frame + IPV4_AT, *l4 = frame + packet->l4, *checksum = frame + packet->checksum;
    bool udp = packet->protocol == PROTOCOL_UDP;

    memcpy(frame, segments->header, segments->begin);
    put16(ip + IPV4_LENGTH, (uint16_t)(packet->l4 - IPV4_AT + l4_len));
    put16(ip + IPV4_ID, (uint16_t)(get16(ip + IPV4_ID) + before / segments->size));
    put16(ip + IPV4_CHECKSUM, 0);
    put_checksum(ip + IPV4_CHECKSUM, sum_fold(sum_add(0, ip, packet->l4 - IPV4_AT)), false);
    if (udp) {
        put16(l4 + UDP_LENGTH, (uint16_t)l4_len);
    } else {
        put32(l4 + TCP_SEQUENCE, get32(l4 + TCP_SEQUENCE) + (uint32_t)before);
        if (before)
            l4[TCP_FLAGS] &= (uint8_t)~TCP_CWR; /* RFC 3168 section 6.1.2 */
        if (segments->at + payload_len < segments->end)
            l4[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
    put16(checksum, 0);
    put_checksum(checksum, sum_fold(sum_add(packet_pseudo_sum(packet, frame, l4_len), l4, l4_len)), udp);
}

const uint8_t *segments_next(struct segments *segments, size_t *len)
{
    size_t left = segments->end - segments->at, payload_len = left < segments->size ? left : segments->size;
    uint8_t *frame = segments->frame + segments->at - segments->begin;

    if (left == 0)
        return NULL;
    if (segments->cut)
        put_headers(segments, frame, payload_len);
    *len = segments->begin + payload_len;
    segments->at += payload_len;
    return frame;
}
