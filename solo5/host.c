/* The tender's services (host.h). */

#include "host.h"
#include "text.h"

void hypercall_out(uint32_t port, uint32_t address);

static const struct hvt_boot_info *boot;
static const struct mft_entry *service, *storage;
static uint64_t service_handle, storage_handle;

static void call(enum hvt_call number, void *arguments)
{
    __asm__ volatile("" : : : "memory");
    hypercall_out(HVT_PORT_BASE + number, (uint32_t)(uint64_t)arguments);
    __asm__ volatile("" : : : "memory");
}

const char *host_init(const struct hvt_boot_info *info)
{
    const struct mft *mft = (const struct mft *)info->mft;

    boot = info;
    if (mft->version != MFT_VERSION || mft->entries > MFT_MAX_ENTRIES)
        return "the tender's manifest has another version";
    for (uint32_t i = 1; i < mft->entries; i++) {
        const struct mft_entry *entry = &mft->e[i];

        if (entry->type == MFT_NET_BASIC && entry->attached && text_equal(entry->name, "service")) {
            service = entry;
            service_handle = i;
        } else if (entry->type == MFT_BLOCK_BASIC && entry->attached && text_equal(entry->name, "storage")) {
            storage = entry;
            storage_handle = i;
        }
    }
    if (service == NULL)
        return "no network device: give --net:service=TAP";
    if (storage == NULL)
        return "no block device: give --block:storage=server.conf.full";
    return NULL;
}

const char *host_arguments(void)
{
    return (const char *)boot->cmdline;
}

uint64_t host_memory(void)
{
    return boot->mem_size;
}

uint64_t host_kernel_end(void)
{
    return boot->kernel_end;
}

uint64_t host_cycles(void)
{
    return boot->cpu_cycle_freq;
}

uint64_t host_block_size(void)
{
    return storage->u.block.capacity;
}

const uint8_t *host_mac(void)
{
    return service->u.net.mac;
}

uint32_t host_mtu(void)
{
    return service->u.net.mtu;
}

void host_print(const char *text, size_t len)
{
    struct hvt_puts puts = {(uint64_t)text, len};

    call(HVT_PUTS, &puts);
}

uint64_t host_wall_clock(void)
{
    struct hvt_walltime now = {0};

    call(HVT_WALLTIME, &now);
    return now.nsecs;
}

bool host_wait(uint64_t timeout_ns)
{
    struct hvt_poll poll = {timeout_ns, 0, 0};

    call(HVT_POLL, &poll);
    return poll.ret > 0;
}

int host_block_read(uint64_t offset, void *to, size_t len)
{
    struct hvt_block block = {storage_handle, offset, (uint64_t)to, len, 0};

    call(HVT_BLOCK_READ, &block);
    return block.ret == HVT_OK ? 0 : -EIO;
}

long host_net_read(void *to, size_t size)
{
    struct hvt_net net = {service_handle, (uint64_t)to, size, 0};

    call(HVT_NET_READ, &net);
    if (net.ret == HVT_AGAIN)
        return 0;
    return net.ret == HVT_OK && net.len <= size ? (long)net.len : -EIO;
}

int host_net_write(const void *frame, size_t len)
{
    struct hvt_net net = {service_handle, (uint64_t)frame, len, 0};

    call(HVT_NET_WRITE, &net);
    return net.ret == HVT_OK ? 0 : -EIO;
}

_Noreturn void host_halt(int status)
{
    struct hvt_halt halt = {0, status};

    call(HVT_HALT, &halt);
    for (;;)
        ;
}
