/*
 * The /dev/tap of the nano-kernel on the host, under the address and undefined-behaviour sanitizers (test_offloads.py).
 *
 * `send`: standard input has u32 MTU, u32 length and that many bytes, again and again. Standard output has for each the
 * i32 result of a write, and when that is 0 its frames as u32 length and bytes, then u32 0.
 *
 * `receive`: standard input has u32 argument of TUNSETOFFLOAD, u32 count, and that number of frames as u32 length and
 * bytes. Standard output has what is read as u32 length and bytes, then u32 0, then u32 calls of the tender's read.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "merge.h"
#include "segment.h"
#include "tap.h"

#define TUNSETOFFLOAD 0x400454d0
#define READ_SIZE (VNET_HDR_LEN + ETHERNET_HDR_LEN + 65535)

static uint32_t mtu;
static uint8_t **queue, *sent;
static uint32_t *lengths, queued, taken, calls;
static size_t sent_len;

static void put(const void *data, size_t n)
{
    if (fwrite(data, 1, n, stdout) != n)
        exit(2);
}

static void put_number(uint32_t number)
{
    put(&number, sizeof number);
}

static bool get(void *data, size_t n)
{
    return n == 0 || fread(data, n, 1, stdin) == 1;
}

/* What tap.c needs of the rest of the nano-kernel; the application's addresses are the host's. */

struct vector vector_one(uint64_t base, size_t len)
{
    return (struct vector){.base = base, .len = len};
}

long vector_put(struct vector *vector, const void *from, size_t n)
{
    size_t part = n < vector->len ? n : vector->len;

    memcpy((void *)vector->base, from, part);
    return (long)part;
}

long vector_get(struct vector *vector, void *to, size_t n)
{
    size_t part = n < vector->len ? n : vector->len;

    memcpy(to, (const void *)vector->base, part);
    return (long)part;
}

int user_read(void *to, uint64_t from, size_t n)
{
    memcpy(to, (const void *)from, n);
    return 0;
}

int user_write(uint64_t to, const void *from, size_t n)
{
    memcpy((void *)to, from, n);
    return 0;
}

const uint8_t *host_mac(void)
{
    return (const uint8_t *)"\2\0\0\0\0\1";
}

uint32_t host_mtu(void)
{
    return mtu;
}

long host_net_read(void *to, size_t size)
{
    calls++;
    if (taken == queued)
        return 0;
    if (lengths[taken] > size)
        exit(2);
    memcpy(to, queue[taken], lengths[taken]);
    return lengths[taken++];
}

/* Compared with what segments_next gave, for which the frame had a buffer of just its size. */
int host_net_write(const void *frame, size_t len)
{
    uint32_t expected;

    memcpy(&expected, sent + sent_len, sizeof expected);
    if (expected != len || memcmp(sent + sent_len + sizeof expected, frame, len) != 0) {
        fprintf(stderr, "tap_write sends another frame than segments_next gives\n");
        exit(2);
    }
    sent_len += sizeof expected + len;
    return 0;
}

static void keep(const void *data, size_t n)
{
    memcpy(sent + sent_len, data, n);
    sent_len += n;
}

static int cut(const uint8_t *given, size_t len)
{
    struct segments segments;
    struct vnet vnet;
    uint8_t *frame = malloc(len - VNET_HDR_LEN + !(len - VNET_HDR_LEN));
    const uint8_t *next;
    size_t next_len;
    int result;

    memcpy(&vnet, given, sizeof vnet);
    memcpy(frame, given + VNET_HDR_LEN, len - VNET_HDR_LEN);
    result = segments_begin(&segments, &vnet, frame, len - VNET_HDR_LEN, mtu);
    for (uint32_t size; result == 0 && (next = segments_next(&segments, &next_len)) != NULL;) {
        size = (uint32_t)next_len;
        keep(&size, sizeof size);
        keep(next, next_len);
    }
    keep(&(uint32_t){0}, 4);
    free(frame);
    return result;
}

static void send_frame(const uint8_t *given, size_t len)
{
    int result = len < VNET_HDR_LEN ? -EINVAL : (sent_len = 0, cut(given, len));
    struct vector vector = vector_one((uint64_t)given, len);
    size_t all = sent_len;

    put_number((uint32_t)result);
    if (result == 0)
        put(sent, all);
    sent_len = 0;
    if (tap_write(NULL, &vector) != (result < 0 ? result : (long)len) || (result == 0 && sent_len + 4 != all)) {
        fprintf(stderr, "tap_write and segments_begin disagree\n");
        exit(2);
    }
}

static int send_all(void)
{
    uint32_t len;

    sent = malloc(TCP_SEGMENTS_MAX * (4 + ETHERNET_HDR_LEN + 65535ul));
    while (get(&mtu, sizeof mtu)) {
        uint8_t *given;

        if (!get(&len, sizeof len) || (given = malloc(len + !len)) == NULL || !get(given, len))
            return 2;
        send_frame(given, len);
        free(given);
    }
    free(sent);
    return 0;
}

/* Each frame once in a buffer of just its size, begun with and added to the one before. */
static void look_at_pairs(void)
{
    uint8_t *before = malloc(ETHERNET_HDR_LEN + 65535);

    for (uint32_t i = 0; i + 1 < queued; i++) {
        struct merge merge;

        merge_begin(&merge, queue[i], lengths[i]);
        if (!merge.open)
            continue;
        memcpy(before, queue[i], lengths[i]);
        merge_begin(&merge, before, lengths[i]);
        merge_add(&merge, queue[i + 1], lengths[i + 1]);
    }
    free(before);
}

static int receive_all(void)
{
    static uint8_t read[READ_SIZE];
    uint32_t offloads;

    if (!get(&offloads, sizeof offloads) || !get(&queued, sizeof queued))
        return 2;
    queue = calloc(queued + 1, sizeof *queue);
    lengths = calloc(queued + 1, sizeof *lengths);
    for (uint32_t i = 0; i < queued; i++) {
        if (!get(&lengths[i], sizeof lengths[i]) || (queue[i] = malloc(lengths[i] + !lengths[i])) == NULL ||
            !get(queue[i], lengths[i]))
            return 2;
    }
    look_at_pairs();
    if (tap_ioctl(TUNSETOFFLOAD, offloads) != 0)
        return 2;
    while (tap_readable()) { /* as the program does: wait, then read until there is nothing */
        struct vector vector = vector_one((uint64_t)read, sizeof read);
        long count;

        while ((count = tap_read(NULL, &vector)) > 0) {
            put_number((uint32_t)count);
            put(read, (size_t)count);
        }
        if (count != -EAGAIN)
            return 2;
    }
    put_number(0);
    put_number(calls);
    for (uint32_t i = 0; i < queued; i++)
        free(queue[i]);
    free(queue);
    free(lengths);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    return strcmp(argv[1], "send") == 0 ? send_all() : receive_all();
}
