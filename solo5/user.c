/* Access to the application's memory (user.h). */

#include "paging.h"
#include "text.h"
#include "user.h"

enum action { READ, WRITE, CLEAR };

/* Bytes from an address to the end of its page, n at most. */
static size_t in_page(uint64_t address, size_t n)
{
    size_t room = PAGE_SIZE - (address & PAGE_MASK);

    return n < room ? n : room;
}

/* READ fills `to`, WRITE empties `from`; the other one is NULL, and CLEAR needs neither. */
static int move(enum action action, uint8_t *to, const uint8_t *from, uint64_t address, size_t n)
{
    if (n && (address < USER_START || address >= USER_END || n > USER_END - address))
        return -EFAULT;
    for (size_t done = 0, part; done < n; done += part) {
        void *there = space_resolve(address + done, action == READ ? PROT_READ : PROT_WRITE);

        if (there == NULL)
            return -EFAULT;
        part = in_page(address + done, n - done);
        if (action == READ)
            memcpy(to + done, there, part);
        else if (action == WRITE)
            memcpy(there, from + done, part);
        else
            memset(there, 0, part);
    }
    return 0;
}

int user_read(void *to, uint64_t from, size_t n)
{
    return move(READ, to, NULL, from, n);
}

int user_write(uint64_t to, const void *from, size_t n)
{
    return move(WRITE, NULL, from, to, n);
}

int user_clear(uint64_t to, size_t n)
{
    return move(CLEAR, NULL, NULL, to, n);
}

long user_text(char *to, uint64_t from, size_t size)
{
    size_t n = 0;

    while (n < size) {
        size_t part = in_page(from + n, size - n);

        if (user_read(to + n, from + n, part) < 0)
            return -EFAULT;
        for (size_t i = 0; i < part; i++, n++) {
            if (to[n] == '\0')
                return (long)n;
        }
    }
    return -ENAMETOOLONG;
}

struct vector vector_one(uint64_t base, size_t len)
{
    return (struct vector){.base = base, .len = len};
}

int vector_many(struct vector *vector, uint64_t iov, size_t count)
{
    if (count > IOV_MAX)
        return -EINVAL;
    *vector = (struct vector){.iov = iov, .left = count};
    return 0;
}

/* Out of the buffers to `to`, or into them from `from`: the other one is NULL. */
static long vector_move(struct vector *vector, uint8_t *to, const uint8_t *from, size_t n)
{
    size_t done = 0;

    while (done < n) {
        size_t part = n - done < vector->len ? n - done : vector->len;

        if (vector->len == 0) {
            uint64_t entry[2];

            if (vector->left == 0)
                break;
            if (user_read(entry, vector->iov, sizeof entry) < 0)
                return -EFAULT;
            vector->iov += sizeof entry;
            vector->left--;
            vector->base = entry[0];
            vector->len = entry[1];
            continue;
        }
        if ((to ? user_read(to + done, vector->base, part) : user_write(vector->base, from + done, part)) < 0)
            return -EFAULT;
        vector->base += part;
        vector->len -= part;
        done += part;
    }
    return (long)done;
}

long vector_put(struct vector *vector, const void *from, size_t n)
{
    return vector_move(vector, NULL, from, n);
}

long vector_get(struct vector *vector, void *to, size_t n)
{
    return vector_move(vector, to, NULL, n);
}
