/* Loading a program (elf.h). */

#include "elf.h"
#include "memory.h"
#include "paging.h"
#include "text.h"

#define PT_LOAD 1
#define PF_X 1
#define PF_W 2
#define PF_R 4
#define MAX_HEADERS 32

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

static const char no_memory[] = "not enough memory for the program";

/* One page of a segment that is written to, or does not lie in the payload page by page. */
static const char *copy_page(const struct elf_segment *segment, const uint8_t *data, uint64_t page, int prot)
{
    uint64_t from = page > segment->vaddr ? page : segment->vaddr;
    uint64_t to = segment->vaddr + segment->filesz;
    phys_t frame;

    if (to > page + PAGE_SIZE)
        to = page + PAGE_SIZE;
    if (!memory_commit(1) || (frame = page_alloc()) == 0)
        return no_memory;
    if (from < to)
        memcpy((uint8_t *)phys_to_virt(frame) + (from - page), data + segment->offset + (from - segment->vaddr), to - from);
    return space_map(page, frame, prot, true) < 0 ? no_memory : NULL;
}

static const char *load_segment(const struct elf_segment *segment, const uint8_t *data,
                                phys_t (*frame_of)(const uint8_t *byte))
{
    int prot = (segment->flags & PF_R ? PROT_READ : 0) | (segment->flags & PF_W ? PROT_WRITE : 0) |
               (segment->flags & PF_X ? PROT_EXEC : 0);
    uint64_t first = segment->vaddr & ~PAGE_MASK;
    uint64_t file_end = segment->vaddr + segment->filesz;
    uint64_t end = (segment->vaddr + segment->memsz + PAGE_MASK) & ~PAGE_MASK;
    const uint8_t *lies = data + segment->offset; /* of the byte at vaddr */
    bool in_place = !(prot & PROT_WRITE) && segment->filesz == segment->memsz &&
                    (((uint64_t)frame_of(lies) ^ segment->vaddr) & PAGE_MASK) == 0;
    uint64_t page = first;

    for (; page < file_end; page += PAGE_SIZE) {
        const char *problem = NULL;

        if (in_place) {
            phys_t frame = (frame_of(lies) - (segment->vaddr - first) + (page - first)) & ~PAGE_MASK;

            problem = space_map(page, frame, prot, false) < 0 ? no_memory : NULL;
        } else {
            problem = copy_page(segment, data, page, prot);
        }
        if (problem)
            return problem;
    }
    if (page < end) {
        size_t pages = (end - page) / PAGE_SIZE;

        if (!memory_commit(pages) || space_reserve(page, pages, prot) < 0)
            return no_memory;
    }
    return NULL;
}

static const char *check_segment(const struct elf_segment *segment, const struct cpio_file *file, uint64_t behind)
{
    if (segment->filesz > segment->memsz || segment->offset > file->size || segment->filesz > file->size - segment->offset)
        return "a segment reaches beyond the program's file";
    if (segment->vaddr < behind || segment->vaddr >= MMAP_START || segment->memsz > MMAP_START - segment->vaddr)
        return "a segment lies outside the application's memory, or on another";
    if ((segment->flags & (PF_W | PF_X)) == (PF_W | PF_X))
        return "a segment is writable and executable";
    return NULL;
}

const char *elf_load(const struct cpio_file *file, phys_t (*frame_of)(const uint8_t *byte), struct program *program)
{
    static const uint8_t ident[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    struct elf_header header;
    uint64_t behind = USER_START;

    if (file->size < sizeof header)
        return "the program is no ELF file";
    memcpy(&header, file->data, sizeof header);
    if (memcmp(header.ident, ident, sizeof ident) != 0 || header.machine != 62)
        return "the program is no ELF file for x86_64";
    if (header.type != 2)
        return "the program is not linked statically at a fixed address";
    if (header.phentsize != sizeof(struct elf_segment) || header.phnum > MAX_HEADERS || header.phoff > file->size ||
        header.phnum * sizeof(struct elf_segment) > file->size - header.phoff)
        return "the program's headers are malformed";
    *program = (struct program){.entry = header.entry, .header_count = header.phnum};
    for (unsigned i = 0; i < header.phnum; i++) {
        struct elf_segment segment;
        const char *problem;

        memcpy(&segment, file->data + header.phoff + i * sizeof segment, sizeof segment);
        if (segment.type != PT_LOAD || segment.memsz == 0)
            continue;
        problem = check_segment(&segment, file, behind);
        if (problem == NULL)
            problem = load_segment(&segment, file->data, frame_of);
        if (problem)
            return problem;
        behind = (segment.vaddr + segment.memsz + PAGE_MASK) & ~PAGE_MASK;
        if (header.phoff >= segment.offset &&
            header.phoff + header.phnum * sizeof segment <= segment.offset + segment.filesz)
            program->headers = segment.vaddr + (header.phoff - segment.offset);
    }
    program->end = behind;
    if (!space_touch(header.entry, PROT_EXEC))
        return "the program begins outside its own code";
    return NULL;
}
