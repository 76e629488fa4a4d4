/* Archives, programs, randomness, text (units.c). */

#include "cpio.h"
#include "elf.h"
#include "memory.h"
#include "paging.h"
#include "random.h"
#include "text.h"
#include "units.h"

/* One newc entry into a buffer; the name takes name_size bytes. Returns where the next begins. */
static size_t put_entry(char *out, size_t at, const char *name, size_t name_size, const char *data, size_t size)
{
    at += (size_t)sprintf(out + at, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", 1, 0100444, 0, 0, 1, 0, size,
                          0, 0, 0, 0, name_size, 0);
    memset(out + at, 0, name_size + 4);
    memcpy(out + at, name, strlen(name));
    at = (at + name_size + 3) & ~3ul;
    memcpy(out + at, data, size);
    memset(out + at + size, 0, 4);
    return (at + size + 3) & ~3ul;
}

static void test_archives(void)
{
    char *archive = malloc(8192);
    size_t end;
    struct cpio_file file;

    end = put_entry(archive, 0, "init", 5, "program", 7);
    end = put_entry(archive, end, "a/b", 300, "xyz", 3);
    end = put_entry(archive, end, "TRAILER!!!", 11, "", 0);
    CHECK(cpio_init((uint8_t *)archive, end));
    CHECK(cpio_find("/init", &file) && file.size == 7 && memcmp(file.data, "program", 7) == 0 && file.mode == 0100444);
    CHECK(cpio_find("//a/b", &file) && file.size == 3);
    CHECK(cpio_find("/", &file) && file.mode == 0040755);
    CHECK(!cpio_find("/TRAILER!!!", &file) && !cpio_find("/a", &file) && !cpio_find("/initx", &file));
    /* Cut off anywhere, in a buffer of just that size: the sanitizer sees every byte read beyond it. */
    for (size_t cut = 0; cut < end - 4; cut++) {
        uint8_t *part = malloc(cut ? cut : 1);

        memcpy(part, archive, cut);
        if (cut < end - 8)
            CHECK(!cpio_init(part, cut) && !cpio_find("/init", &file));
        free(part);
    }
    /* Any byte changed: never beyond the end, whatever it says. */
    for (size_t at = 0; at < 300; at++) {
        for (int bit = 0; bit < 8; bit++) {
            uint8_t *changed = malloc(end);

            memcpy(changed, archive, end);
            changed[at] ^= (uint8_t)(1 << bit);
            if (cpio_init(changed, end))
                cpio_find("/a/b", &file);
            free(changed);
        }
    }
    free(archive);
}

#define PROGRAM_AT (2000 * PAGE_SIZE) /* in the array, after the pages that are managed */

static phys_t frame_of(const uint8_t *byte)
{
    return (phys_t)(byte - test_memory);
}

static struct cpio_file read_program(const char *path)
{
    FILE *stream = fopen(path, "rb");
    size_t size = stream ? fread(test_memory + PROGRAM_AT, 1, (MEMORY_PAGES - 2001) * PAGE_SIZE, stream) : 0;

    CHECK(size > 0);
    fclose(stream);
    return (struct cpio_file){test_memory + PROGRAM_AT, size, 0100555, 1};
}

/* Every byte of every segment stands where the file says, zero where it says nothing; code lies in place. */
static void test_loading_a_program(const char *path)
{
    struct cpio_file file;
    struct program program;
    uint64_t phoff;
    uint16_t count;
    size_t in_place = 0;

    fresh(1900);
    file = read_program(path);
    CHECK(elf_load(&file, frame_of, &program) == NULL);
    memcpy(&phoff, file.data + 32, 8);
    memcpy(&count, file.data + 56, 2);
    CHECK(count == program.header_count && program.end % PAGE_SIZE == 0);
    for (int i = 0; i < count; i++) {
        uint64_t segment[7]; /* type and flags, offset, vaddr, paddr, filesz, memsz, align */

        memcpy(segment, file.data + phoff + (size_t)i * ELF_HEADER_SIZE, sizeof segment);
        if ((uint32_t)segment[0] != 1)
            continue;
        for (uint64_t at = 0; at < segment[5]; at++) {
            uint8_t *byte = space_resolve(segment[2] + at, PROT_READ);
            uint8_t expected = at < segment[4] ? file.data[segment[1] + at] : 0;

            CHECK(byte != NULL && *byte == expected);
            in_place += byte >= test_memory + PROGRAM_AT;
        }
        CHECK(space_touch(segment[2], PROT_WRITE) == ((segment[0] >> 32 & 2) != 0));
        CHECK(space_touch(segment[2], PROT_EXEC) == ((segment[0] >> 32 & 1) != 0));
        CHECK(program.end > segment[2] + segment[5] - 1);
    }
    CHECK(in_place > file.size / 2 && space_touch(program.entry, PROT_EXEC));
    CHECK(memory_figures().committed < 64);
}

static void test_programs_that_are_none(const char *path)
{
    static const size_t offsets[] = {0, 4, 5, 16, 18, 32, 54, 56};
    struct cpio_file file;
    struct program program;

    for (size_t cut = 0; cut < 4096; cut += 97) {
        fresh(1900);
        file = read_program(path);
        file.size = cut;
        CHECK(elf_load(&file, frame_of, &program) != NULL);
    }
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        fresh(1900);
        file = read_program(path);
        test_memory[PROGRAM_AT + offsets[i]] ^= 0xff;
        test_memory[PROGRAM_AT + offsets[i] + 1] ^= 0xff;
        CHECK(elf_load(&file, frame_of, &program) != NULL);
    }
    for (size_t at = 64; at < 64 + 6 * ELF_HEADER_SIZE; at++) { /* headers with any byte changed: refused or loaded */
        fresh(1900);
        file = read_program(path);
        test_memory[PROGRAM_AT + at] ^= 0xa5;
        elf_load(&file, frame_of, &program);
    }
    fresh(1900);
    file = read_program(path);
    test_memory[PROGRAM_AT + 64 + 4] = 7;
    CHECK(strstr(elf_load(&file, frame_of, &program), "writable and executable") != NULL || file.data[64] != 1);
}

static void test_chacha20(void)
{
    /* RFC 8439 section 2.3.2 */
    static const uint8_t expected[16] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15,
                                         0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4};
    static const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0x00000000};
    uint8_t key[32], out[64];
    uint32_t words[8];

    for (int i = 0; i < 32; i++)
        key[i] = (uint8_t)i;
    memcpy(words, key, sizeof words);
    chacha20_block(words, 1, nonce, out);
    CHECK(memcmp(out, expected, sizeof expected) == 0);
}

static void test_random_bytes(void)
{
    uint8_t seed[SEED_BYTES] = {1}, one[100], two[100];
    unsigned ones = 0;

    random_absorb(seed);
    random_bytes(one, sizeof one);
    random_bytes(two, sizeof two);
    CHECK(memcmp(one, two, sizeof one) != 0);
    seed[0] = 2;
    random_absorb(seed);
    random_bytes(two, 1);
    for (size_t i = 0; i < sizeof one; i++)
        ones += (unsigned)__builtin_popcount(one[i]);
    CHECK(ones > 300 && ones < 500);
}

static void test_lines(void)
{
    struct line line = {.len = 0};

    line_text(&line, "a ");
    line_number(&line, 0);
    line_text(&line, " ");
    line_number(&line, 18446744073709551615ul);
    line_text(&line, " ");
    line_hex(&line, 0xdeadbeef);
    CHECK(strcmp(line.text, "a 0 18446744073709551615 0xdeadbeef") == 0);
    for (int i = 0; i < 300; i++)
        line_text(&line, "abc");
    CHECK(line.len == sizeof line.text - 1 && line.text[line.len] == '\0');
    CHECK(text_equal("x", "x") && !text_equal("x", "xy") && !text_equal("xy", "x") && text_equal("", ""));
}

void test_files(const char *program)
{
    test_archives();
    test_loading_a_program(program);
    test_programs_that_are_none(program);
    test_chacha20();
    test_random_bytes();
    test_lines();
}
