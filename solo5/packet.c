/* Frames of /dev/tap (packet.h). */

#include "packet.h"
#include "sum.h"

#define ETHERTYPE_AT 12
#define ETHERTYPE_IPV4 0x0800
#define TCP_HDR_MIN 20
#define NOT_A_FRAGMENT 0x3fff /* more fragments, and the offset */

uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t get32(const uint8_t *at)
{
    return (uint32_t)get16(at) << 16 | get16(at + 2);
}

void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

void put32(uint8_t *at, uint32_t value)
{
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

void put_checksum(uint8_t *at, uint16_t sum, bool never_zero)
{
    uint16_t field = (uint16_t)~sum;

    if (field == 0 && never_zero)
        field = 0xffff; /* RFC 768: 0 means none */
    __builtin_memcpy(at, &field, sizeof field);
}

bool packet_parse(struct packet *packet, const uint8_t *frame, size_t len)
{
    const uint8_t *ip = frame + IPV4_AT;
    size_t header_len, l4_len;

    if (len < IPV4_AT + IPV4_HDR_MIN || get16(frame + ETHERTYPE_AT) != ETHERTYPE_IPV4 || ip[0] >> 4 != 4)
        return false;
    header_len = (ip[0] & 15) * 4u;
    packet->end = IPV4_AT + get16(ip + IPV4_LENGTH);
    packet->l4 = IPV4_AT + header_len;
    if (header_len < IPV4_HDR_MIN || packet->end > len || packet->end < packet->l4 ||
        get16(ip + IPV4_FRAGMENT) & NOT_A_FRAGMENT)
        return false;
    packet->protocol = ip[IPV4_PROTOCOL];
    l4_len = packet->end - packet->l4;
    if (packet->protocol == PROTOCOL_TCP && l4_len >= TCP_HDR_MIN) {
        header_len = (frame[packet->l4 + TCP_OFFSET] >> 4) * 4u;
        packet->checksum = packet->l4 + TCP_CHECKSUM;
        packet->payload = packet->l4 + header_len;
        return header_len >= TCP_HDR_MIN && header_len <= l4_len;
    }
    packet->checksum = packet->l4 + UDP_CHECKSUM;
    packet->payload = packet->l4 + UDP_HDR_LEN;
    return packet->protocol == PROTOCOL_UDP && l4_len >= UDP_HDR_LEN &&
           get16(frame + packet->l4 + UDP_LENGTH) == l4_len;
}

uint64_t packet_pseudo_sum(const struct packet *packet, const uint8_t *frame, size_t len)
{
    uint8_t rest[4] = {0, (uint8_t)packet->protocol};

    put16(rest + 2, (uint16_t)len);
    return sum_add(sum_add(0, rest, sizeof rest), frame + IPV4_AT + IPV4_ADDRESSES, 8);
}

bool packet_complete(const struct vnet *vnet, uint8_t *frame, size_t len)
{
    size_t start = vnet->csum_start, at = start + vnet->csum_offset;

    if (start < ETHERNET_HDR_LEN || at + 2 > len)
        return false;
    put_checksum(frame + at, sum_fold(sum_add(0, frame + start, len - start)), vnet->csum_offset == UDP_CHECKSUM);
    return true;
}
