/*
 * Frames of /dev/tap: a virtio-net header (virtio 1.2 section 5.1.6, little endian), then an Ethernet frame. Offsets
 * count from the Ethernet header, as in the virtio-net header. Fields of packets are big endian and at any address.
 */

#ifndef HOGNOSE_PACKET_H
#define HOGNOSE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VNET_HDR_LEN 12
#define VNET_NEEDS_CSUM 1
#define VNET_DATA_VALID 2
#define VNET_GSO_NONE 0
#define VNET_GSO_TCPV4 1
#define VNET_GSO_UDP_L4 5
#define VNET_GSO_ECN 0x80

#define ETHERNET_HDR_LEN 14
#define HEADERS_MAX (ETHERNET_HDR_LEN + 60 + 60) /* with all options that IPv4 and TCP can have */

/* From the IPv4 header */
#define IPV4_AT ETHERNET_HDR_LEN
#define IPV4_HDR_MIN 20
#define IPV4_LENGTH 2
#define IPV4_ID 4
#define IPV4_FRAGMENT 6
#define IPV4_PROTOCOL 9
#define IPV4_CHECKSUM 10
#define IPV4_ADDRESSES 12
/* From the TCP or UDP header */
#define TCP_SEQUENCE 4
#define TCP_ACKNOWLEDGMENT 8
#define TCP_OFFSET 12
#define TCP_FLAGS 13
#define TCP_WINDOW 14
#define TCP_CHECKSUM 16
#define TCP_URGENT 18
#define UDP_LENGTH 4
#define UDP_CHECKSUM 6
#define UDP_HDR_LEN 8

#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_CWR 0x80

enum protocol { PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

struct vnet {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

_Static_assert(sizeof(struct vnet) == VNET_HDR_LEN, "virtio-net header");

/* A TCP or UDP packet in a frame; l4 <= payload <= end <= length of the frame. */
struct packet {
    enum protocol protocol;
    size_t l4;       /* offset of the TCP or UDP header */
    size_t payload;  /* offset of what follows it */
    size_t end;      /* offset after the IPv4 packet */
    size_t checksum; /* offset of the checksum of TCP or UDP */
};

/* False for anything but a whole IPv4 packet of TCP or UDP, not VLAN-tagged, no fragment, with lengths that fit. */
bool packet_parse(struct packet *packet, const uint8_t *frame, size_t len);

/* The sum of the pseudo-header (RFC 9293 section 3.1) for len bytes of TCP or UDP, not folded. */
uint64_t packet_pseudo_sum(const struct packet *packet, const uint8_t *frame, size_t len);

/* Complete a partial checksum in place; false when its place is not within the frame. Sums to the frame's end. */
bool packet_complete(const struct vnet *vnet, uint8_t *frame, size_t len);

uint16_t get16(const uint8_t *at);
uint32_t get32(const uint8_t *at);
void put16(uint8_t *at, uint16_t value);
void put32(uint8_t *at, uint32_t value);
/* A sum as sum_fold gives it, complemented. */
void put_checksum(uint8_t *at, uint16_t sum, bool never_zero);

#endif
