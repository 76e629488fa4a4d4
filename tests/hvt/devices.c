/* The guest's devices and hypercalls (tender.h). */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tender.h"

#define SECTOR 512

static uint32_t find(const struct tender *tender, const char *name, size_t len, uint32_t type)
{
    for (uint32_t i = 1; i < tender->mft->entries; i++) {
        const struct mft_entry *entry = &tender->mft->e[i];

        if (entry->type == type && strlen(entry->name) == len && memcmp(entry->name, name, len) == 0)
            return i;
    }
    refuse("resource not declared in the manifest: %.*s", (int)len, name);
}

static void attach_net(struct tender *tender, uint32_t handle, const char *interface)
{
    struct mft_entry *entry = &tender->mft->e[handle];
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), probe = socket(AF_INET, SOCK_DGRAM, 0);
    char path[128];

    snprintf(path, sizeof path, "/sys/class/net/%s/tun_flags", interface);
    if (access(path, F_OK) < 0)
        refuse("could not attach interface: %s: no such tap", interface);
    strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (fd < 0 || probe < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(probe, SIOCGIFMTU, &request) < 0)
        err(1, "could not attach interface: %s", interface);
    entry->u.net.mtu = (uint16_t)request.ifr_mtu;
    close(probe);
    if (getrandom(entry->u.net.mac, 6, 0) != 6)
        err(1, "getrandom");
    entry->u.net.mac[0] = (entry->u.net.mac[0] & 0xfe) | 2;
    entry->attached = 1;
    tender->fds[handle] = fd;
}

static void attach_block(struct tender *tender, uint32_t handle, const char *path)
{
    struct mft_entry *entry = &tender->mft->e[handle];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) < 0)
        err(1, "could not open block device: %s", path);
    if (status.st_size < SECTOR || status.st_size % SECTOR)
        refuse("%s: backing storage size must be block aligned (%d bytes)", path, SECTOR);
    entry->u.block.capacity = (uint64_t)status.st_size;
    entry->u.block.block_size = SECTOR;
    entry->attached = 1;
    tender->fds[handle] = fd;
}

int attach_device(struct tender *tender, const char *word)
{
    const char *name = strchr(word, ':'), *value = strchr(word, '=');
    unsigned mac[6];

    if (name == NULL || value == NULL || value < name)
        return 0;
    name++;
    if (strncmp(word, "--net:", 6) == 0)
        attach_net(tender, find(tender, name, (size_t)(value - name), MFT_NET_BASIC), value + 1);
    else if (strncmp(word, "--block:", 8) == 0)
        attach_block(tender, find(tender, name, (size_t)(value - name), MFT_BLOCK_BASIC), value + 1);
    else if (strncmp(word, "--net-mac:", 10) == 0 &&
             sscanf(value + 1, "%x:%x:%x:%x:%x:%x", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) == 6)
        for (int i = 0; i < 6; i++)
            tender->mft->e[find(tender, name, (size_t)(value - name), MFT_NET_BASIC)].u.net.mac[i] = (uint8_t)mac[i];
    else
        return 0;
    return 1;
}

void check_devices(const struct tender *tender)
{
    for (uint32_t i = 1; i < tender->mft->entries; i++) {
        if (!tender->mft->e[i].attached)
            refuse("device '%s' is declared but not attached", tender->mft->e[i].name);
    }
}

/* A range of guest memory, or the end: the guest may not point beyond it. */
static void *guest(const struct tender *tender, uint64_t address, uint64_t size)
{
    if (address >= tender->mem_size || size >= tender->mem_size - address)
        refuse("guest pointer %#lx+%#lx is out of range", address, size);
    return tender->memory + address;
}

static int device_of(const struct tender *tender, uint64_t handle, uint32_t type)
{
    return handle < tender->mft->entries && tender->mft->e[handle].type == type ? tender->fds[handle] : -1;
}

static void wait_for_frame(const struct tender *tender, struct hvt_poll *call)
{
    struct timespec timeout = {(time_t)(call->timeout_ns / 1000000000), (long)(call->timeout_ns % 1000000000)};
    struct pollfd fds[MFT_MAX_ENTRIES];
    uint32_t handles[MFT_MAX_ENTRIES], count = 0;

    for (uint32_t i = 1; i < tender->mft->entries; i++) {
        if (tender->mft->e[i].type == MFT_NET_BASIC) {
            fds[count] = (struct pollfd){tender->fds[i], POLLIN, 0};
            handles[count++] = i;
        }
    }
    call->ret = ppoll(fds, count, &timeout, NULL);
    call->ready_set = 0;
    for (uint32_t i = 0; i < count && call->ret > 0; i++)
        call->ready_set |= fds[i].revents & POLLIN ? 1ul << handles[i] : 0;
}

static void move_frame(const struct tender *tender, struct hvt_net *call, int writes)
{
    int fd = device_of(tender, call->handle, MFT_NET_BASIC);
    void *buffer = guest(tender, call->data, call->len);
    ssize_t count;

    call->ret = HVT_EINVAL;
    if (fd < 0)
        return;
    if (writes) {
        if (call->len > tender->mft->e[call->handle].u.net.mtu + 14ul)
            refuse("the guest sends a frame of %lu bytes", call->len); /* ours never does; the real one lets the tap judge */
        if (write(fd, buffer, call->len) != (ssize_t)call->len)
            err(1, "writing a frame");
        call->ret = HVT_OK;
        return;
    }
    count = read(fd, buffer, call->len);
    if (count < 0 && errno != EAGAIN)
        err(1, "reading a frame");
    call->ret = count < 0 ? HVT_AGAIN : HVT_OK;
    call->len = count < 0 ? 0 : (uint64_t)count;
}

static void move_blocks(const struct tender *tender, struct hvt_block *call, int writes)
{
    int fd = device_of(tender, call->handle, MFT_BLOCK_BASIC);
    void *buffer = guest(tender, call->data, call->len);
    ssize_t count;

    call->ret = HVT_EINVAL;
    if (fd < 0 || call->offset > tender->mft->e[call->handle].u.block.capacity ||
        call->len > tender->mft->e[call->handle].u.block.capacity - call->offset)
        return;
    count = writes ? pwrite(fd, buffer, call->len, (off_t)call->offset) : pread(fd, buffer, call->len, (off_t)call->offset);
    if (count != (ssize_t)call->len)
        err(1, "block device");
    call->ret = HVT_OK;
}

int serve_call(struct tender *tender, unsigned number, uint32_t address)
{
    struct timespec now;
    struct hvt_puts *puts;

    switch (number) {
    case HVT_WALLTIME:
        clock_gettime(CLOCK_REALTIME, &now);
        ((struct hvt_walltime *)guest(tender, address, 8))->nsecs = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
        return -1;
    case HVT_PUTS:
        puts = guest(tender, address, sizeof *puts);
        if (write(1, guest(tender, puts->data, puts->len), puts->len) < 0)
            err(1, "console");
        return -1;
    case HVT_POLL:
        wait_for_frame(tender, guest(tender, address, sizeof(struct hvt_poll)));
        return -1;
    case HVT_BLOCK_WRITE:
    case HVT_BLOCK_READ:
        move_blocks(tender, guest(tender, address, sizeof(struct hvt_block)), number == HVT_BLOCK_WRITE);
        return -1;
    case HVT_NET_WRITE:
    case HVT_NET_READ:
        move_frame(tender, guest(tender, address, sizeof(struct hvt_net)), number == HVT_NET_WRITE);
        return -1;
    case HVT_HALT:
        return ((struct hvt_halt *)guest(tender, address, sizeof(struct hvt_halt)))->exit_status & 0xff;
    default:
        refuse("unknown hypercall %u", number);
    }
}
