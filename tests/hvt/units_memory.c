/* Physical pages, page tables, the application's pointers (units.c). */

#include "memory.h"
#include "paging.h"
#include "units.h"
#include "user.h"

#define A (MMAP_START + 7 * PAGE_SIZE)

static void reserve(uint64_t address, size_t pages, int prot)
{
    CHECK(memory_commit(pages));
    CHECK(space_reserve(address, pages, prot) == 0);
}

static void test_memory_accounting(void)
{
    struct memory_figures figures;
    phys_t page, again;

    fresh(1000);
    figures = memory_figures();
    CHECK(figures.total == 1000 && figures.limit < 1000 && figures.limit > 900);
    CHECK(!memory_commit(figures.limit + 1));
    CHECK(memory_commit(figures.limit) && !memory_commit(1));
    memory_uncommit(1);
    CHECK(memory_commit(1));
    page = page_alloc();
    CHECK(page == PAGE_SIZE);
    memset(phys_to_virt(page), 0xff, PAGE_SIZE);
    page_free(page);
    again = page_alloc();
    CHECK(again == page);
    for (size_t i = 0; i < PAGE_SIZE; i++)
        CHECK(((uint8_t *)phys_to_virt(again))[i] == 0);
    for (int i = 1; i < 1000; i++)
        CHECK(page_alloc() != 0);
    CHECK(page_alloc() == 0);
    CHECK(memory_figures().used == 1000);
}

static void test_a_machine_too_small_commits_nothing(void)
{
    fresh(20);
    CHECK(memory_figures().limit == 0 && !memory_commit(1) && memory_commit(0));
}

static void test_promised_pages_are_filled_when_touched(void)
{
    size_t used;

    fresh(1000);
    CHECK(!space_touch(A, PROT_READ));
    reserve(A, 3, PROT_READ | PROT_WRITE);
    used = memory_figures().used;
    CHECK(space_touch(A + PAGE_SIZE + 5, PROT_WRITE));
    CHECK(memory_figures().used == used + 1);
    CHECK(space_touch(A + PAGE_SIZE, PROT_READ) && memory_figures().used == used + 1);
    CHECK(!space_touch(A, PROT_EXEC) && !space_touch(A + PAGE_SIZE, PROT_EXEC));
    *(uint8_t *)space_resolve(A + PAGE_SIZE + 5, PROT_WRITE) = 42;
    CHECK(*(uint8_t *)space_resolve(A + PAGE_SIZE + 5, PROT_READ) == 42);
    CHECK(!space_touch(A + 3 * PAGE_SIZE, PROT_READ));
}

static void test_unmapping_gives_back_what_was_promised(void)
{
    struct memory_figures before;

    fresh(1000);
    reserve(A, 1, PROT_READ); /* its page tables stay */
    memory_uncommit(space_unmap(A, 1));
    before = memory_figures();
    reserve(A, 8, PROT_READ | PROT_WRITE);
    CHECK(space_touch(A, PROT_WRITE) && space_touch(A + 4 * PAGE_SIZE, PROT_WRITE));
    CHECK(space_unmap(A - 2 * PAGE_SIZE, 20) == 8);
    memory_uncommit(8);
    CHECK(memory_figures().used == before.used && memory_figures().committed == before.committed);
    CHECK(flushes == 1 && space_is_free(A, 8));
    CHECK(space_unmap(A, 8) == 0 && flushes == 1);
    CHECK(space_map(A, 0x5000, PROT_READ, false) == 0);
    CHECK(space_unmap(A, 1) == 0); /* a page of the payload was never promised */
}

static void test_protection(void)
{
    fresh(1000);
    reserve(A, 2, PROT_READ | PROT_WRITE);
    *(uint8_t *)space_resolve(A, PROT_WRITE) = 9;
    CHECK(space_protect(A, 2, PROT_READ) == 0);
    CHECK(!space_touch(A, PROT_WRITE) && !space_touch(A + PAGE_SIZE, PROT_WRITE));
    CHECK(space_protect(A, 2, 0) == 0);
    CHECK(!space_touch(A, PROT_READ) && !space_touch(A + PAGE_SIZE, PROT_READ));
    CHECK(space_protect(A, 2, PROT_READ | PROT_WRITE) == 0);
    CHECK(*(uint8_t *)space_resolve(A, PROT_READ) == 9);
    CHECK(space_protect(A, 3, PROT_READ) == -ENOMEM);
    CHECK(space_protect(A, 1, PROT_READ | PROT_EXEC) == 0 && space_touch(A, PROT_EXEC));
    CHECK(space_map(A + 9 * PAGE_SIZE, 0x5000, PROT_READ | PROT_EXEC, false) == 0);
    CHECK(space_protect(A + 9 * PAGE_SIZE, 1, PROT_READ | PROT_WRITE) == -EACCES);
    CHECK(space_touch(A + 9 * PAGE_SIZE, PROT_EXEC) && !space_touch(A + 9 * PAGE_SIZE, PROT_WRITE));
    CHECK(space_protect(A + 9 * PAGE_SIZE, 1, 0) == 0 && !space_touch(A + 9 * PAGE_SIZE, PROT_READ));
    CHECK(space_protect(A + 9 * PAGE_SIZE, 1, PROT_WRITE) == -EACCES);
    CHECK(space_protect(A, 1, 0) == 0);
    memory_uncommit(space_unmap(A, 2));
    CHECK(memory_figures().committed == 0);
}

static void test_finding_room(void)
{
    uint64_t limit = MMAP_START + 100 * PAGE_SIZE;

    fresh(1000);
    CHECK(space_find(MMAP_START, limit, 100) == MMAP_START && space_find(MMAP_START, limit, 101) == 0);
    reserve(MMAP_START + 2 * PAGE_SIZE, 1, PROT_READ);
    reserve(MMAP_START + 6 * PAGE_SIZE, 1, PROT_READ);
    CHECK(space_find(MMAP_START, limit, 2) == MMAP_START);
    CHECK(space_find(MMAP_START, limit, 3) == MMAP_START + 3 * PAGE_SIZE);
    CHECK(space_find(MMAP_START, limit, 4) == MMAP_START + 7 * PAGE_SIZE);
    CHECK(space_find(MMAP_START, limit, 94) == 0);
    CHECK(!space_is_free(MMAP_START, 3) && space_is_free(MMAP_START + 3 * PAGE_SIZE, 3));
    CHECK(space_find(MMAP_START, STACK_TOP, 1ul << 30) != 0); /* 4 TiB of nothing: tables that are not there are skipped */
}

static void test_moving(void)
{
    uint64_t to = MMAP_START + (1ul << 31);

    fresh(1000);
    reserve(A, 2, PROT_READ | PROT_WRITE);
    *(uint8_t *)space_resolve(A, PROT_WRITE) = 7;
    CHECK(space_move(A, to, 2) == 0 && space_is_free(A, 2));
    CHECK(*(uint8_t *)space_resolve(to, PROT_READ) == 7 && space_touch(to + PAGE_SIZE, PROT_WRITE));
    CHECK(space_move(to, A, 3) == -ENOMEM && *(uint8_t *)space_resolve(to, PROT_READ) == 7);
}

static void test_discarding(void)
{
    size_t used;

    fresh(1000);
    reserve(A, 2, PROT_READ | PROT_WRITE);
    *(uint8_t *)space_resolve(A, PROT_WRITE) = 7;
    used = memory_figures().used;
    space_discard(A, 2);
    CHECK(memory_figures().used == used - 1 && memory_figures().committed == 2);
    CHECK(*(uint8_t *)space_resolve(A, PROT_READ) == 0 && space_touch(A, PROT_WRITE));
}

static void test_page_tables_that_run_out_change_nothing(void)
{
    struct memory_figures before;

    fresh(3); /* exactly the tables of one page; none of this needs a commitment */
    CHECK(space_reserve(A, 1, PROT_READ) == 0);
    before = memory_figures();
    CHECK(space_reserve(A + (2ul << 20) - 8 * PAGE_SIZE, 4, PROT_READ) == -ENOMEM);
    CHECK(space_is_free(A + PAGE_SIZE, 8) && memory_figures().used == before.used);
    CHECK(space_map(A + (1ul << 40), 0x1000, PROT_READ, false) == -ENOMEM);
    CHECK(!space_touch(A, PROT_READ)); /* not even the page itself is left: denied, not crashed */
}

static void test_user_pointers(void)
{
    static const uint64_t outside[] = {0, 0x1000, USER_START - 1, USER_END, USER_END - 1, DIRECT_MAP + 5, ~0ul, ~0ul - 3};
    uint8_t bytes[3 * PAGE_SIZE], back[3 * PAGE_SIZE];
    struct vector vector;

    fresh(1000);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        CHECK(user_read(back, outside[i], 4) == -EFAULT && user_write(outside[i], bytes, 4) == -EFAULT);
        CHECK(user_text((char *)back, outside[i], 4) == -EFAULT);
        CHECK(user_read(back, outside[i], 0) == 0);
    }
    reserve(A, 3, PROT_READ | PROT_WRITE);
    CHECK(user_write(A + 100, bytes, sizeof bytes - 100) == 0 && user_read(back, A + 100, sizeof bytes - 100) == 0);
    CHECK(memcmp(bytes, back, sizeof bytes - 100) == 0);
    CHECK(user_write(A + 100, bytes, sizeof bytes) == -EFAULT);
    CHECK(user_write(A, bytes, ~0ul) == -EFAULT && user_read(back, USER_END - PAGE_SIZE, 2 * PAGE_SIZE) == -EFAULT);
    CHECK(user_clear(A + 100, 50) == 0 && user_read(back, A + 100, 51) == 0 && back[49] == 0 && back[50] == bytes[50]);
    CHECK(space_protect(A + PAGE_SIZE, 1, PROT_READ) == 0);
    CHECK(user_write(A + PAGE_SIZE - 2, bytes, 4) == -EFAULT && user_read(back, A + PAGE_SIZE, 4) == 0);
    CHECK(user_write(A + PAGE_SIZE - 3, "ab", 3) == 0);
    CHECK(user_text((char *)back, A + PAGE_SIZE - 3, 64) == 2 && strcmp((char *)back, "ab") == 0);
    CHECK(user_text((char *)back, A + PAGE_SIZE - 3, 2) == -ENAMETOOLONG);
    memset(bytes, 'x', PAGE_SIZE);
    CHECK(user_write(A + 2 * PAGE_SIZE, bytes, PAGE_SIZE) == 0);
    CHECK(user_text((char *)back, A + 3 * PAGE_SIZE - 4, 64) == -EFAULT); /* runs into what is not there */
    vector = vector_one(A, 10);
    CHECK(vector_put(&vector, bytes, 4) == 4 && vector_put(&vector, bytes, 100) == 6 && vector_put(&vector, bytes, 1) == 0);
}

static void test_vectors(void)
{
    uint64_t iov[4][2] = {{A + PAGE_SIZE, 3}, {A + PAGE_SIZE + 100, 0}, {A + PAGE_SIZE + 200, 4}, {0x10, 5}};
    char text[16];
    struct vector vector;

    fresh(1000);
    reserve(A, 2, PROT_READ | PROT_WRITE);
    CHECK(user_write(A, iov, sizeof iov) == 0);
    CHECK(vector_many(&vector, A, IOV_MAX + 1) == -EINVAL);
    CHECK(vector_many(&vector, A, 3) == 0);
    CHECK(vector_put(&vector, "abcdefgh", 8) == 7);
    CHECK(user_read(text, A + PAGE_SIZE, 3) == 0 && memcmp(text, "abc", 3) == 0);
    CHECK(user_read(text, A + PAGE_SIZE + 200, 4) == 0 && memcmp(text, "defg", 4) == 0);
    CHECK(vector_many(&vector, A, 3) == 0 && vector_get(&vector, text, sizeof text) == 7 && memcmp(text, "abcdefg", 7) == 0);
    CHECK(vector_many(&vector, A, 4) == 0 && vector_get(&vector, text, sizeof text) == -EFAULT);
    CHECK(vector_many(&vector, 0x5, 1) == 0 && vector_get(&vector, text, 1) == -EFAULT);
}

void test_memory_and_paging(void)
{
    test_memory_accounting();
    test_a_machine_too_small_commits_nothing();
    test_promised_pages_are_filled_when_touched();
    test_unmapping_gives_back_what_was_promised();
    test_protection();
    test_finding_room();
    test_moving();
    test_discarding();
    test_page_tables_that_run_out_change_nothing();
    test_user_pointers();
    test_vectors();
}
