/* The image: what an hvt ELF file must be like, and into memory with it (tender.h). */

#include <elf.h>
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tender.h"

#define LOWEST 0x100000ul
#define TYPE_ABI 0x31494241
#define TYPE_MANIFEST 0x3154464d
#define TARGET_HVT 1
#define ABI_VERSION 2
#define NOTE_HEADER_LEN 20 /* with the padded name */

/* The description of the first note of a PT_NOTE, if it is one of Solo5's of this type; its size in *size. */
static const uint8_t *note_of(const uint8_t *file, const Elf64_Phdr *header, uint32_t type, uint32_t *size)
{
    const uint32_t *note = (const uint32_t *)(file + header->p_offset);

    if (header->p_type != PT_NOTE || header->p_filesz < NOTE_HEADER_LEN || note[0] != 6 || note[2] != type ||
        memcmp(note + 3, "Solo5", 6) != 0 || note[1] > header->p_filesz - NOTE_HEADER_LEN)
        return NULL;
    *size = note[1];
    return file + header->p_offset + NOTE_HEADER_LEN;
}

static void check_abi(const char *name, const uint8_t *description, uint32_t size)
{
    const uint32_t *words = (const uint32_t *)description;

    if (description == NULL || size != 16)
        refuse("%s: no Solo5 ABI note", name);
    if (words[0] != TARGET_HVT)
        refuse("%s: not for hvt", name);
    if (words[1] != ABI_VERSION)
        refuse("%s: ABI version %u is not supported", name, words[1]);
}

static struct mft *copy_manifest(const char *name, const uint8_t *description, uint32_t size)
{
    const struct mft *mft;
    struct mft *copy;

    if (description == NULL || size < 4 + sizeof *mft)
        refuse("%s: no Solo5 manifest", name);
    mft = (const struct mft *)(description + 4);
    if (mft->version != MFT_VERSION || mft->entries < 1 || mft->entries > MFT_MAX_ENTRIES ||
        size != 4 + sizeof *mft + mft->entries * sizeof mft->e[0])
        refuse("%s: malformed manifest", name);
    if (mft->e[0].type != MFT_RESERVED_FIRST || mft->e[0].name[0])
        refuse("%s: the manifest's first entry is not the reserved one", name);
    for (uint32_t i = 0; i < mft->entries; i++) {
        if (mft->e[i].attached || memchr(mft->e[i].name, 0, sizeof mft->e[i].name) == NULL)
            refuse("%s: malformed manifest entry %u", name, i);
    }
    copy = malloc(size);
    memcpy(copy, mft, size - 4);
    return copy;
}

static void load_segment(struct tender *tender, const uint8_t *file, size_t size, const Elf64_Phdr *header)
{
    uint64_t align = header->p_align, start, end;
    int prot = (header->p_flags & PF_R ? PROT_READ : 0) | (header->p_flags & PF_W ? PROT_WRITE : 0) |
               (header->p_flags & PF_X ? PROT_EXEC : 0);

    if (align & (align - 1) || header->p_filesz > header->p_memsz || header->p_offset > size ||
        header->p_filesz > size - header->p_offset)
        refuse("%s: malformed segment", tender->image);
    if (align == 0)
        align = 1;
    start = header->p_vaddr & ~(align - 1);
    end = header->p_vaddr + header->p_memsz;
    if (__builtin_add_overflow(end, align - 1, &end))
        refuse("%s: malformed segment", tender->image);
    end &= ~(align - 1);
    if (header->p_vaddr < LOWEST || start < tender->kernel_end || end > tender->mem_size)
        refuse("%s: a segment lies outside of memory, or on another", tender->image);
    if (start % PAGE || end % PAGE)
        refuse("%s: a segment is not aligned to pages", tender->image);
    if (prot & PROT_WRITE && prot & PROT_EXEC)
        refuse("%s: a segment is writable and executable", tender->image);
    memcpy(tender->memory + header->p_vaddr, file + header->p_offset, header->p_filesz);
    if (mprotect(tender->memory + start, end - start, prot) < 0)
        err(1, "mprotect");
    tender->kernel_end = end;
}

void load_image(struct tender *tender)
{
    int fd = open(tender->image, O_RDONLY | O_CLOEXEC);
    struct stat status;
    const uint8_t *file, *abi = NULL, *manifest = NULL;
    uint32_t abi_size = 0, manifest_size = 0;
    const Elf64_Ehdr *elf;
    const Elf64_Phdr *headers;

    if (fd < 0 || fstat(fd, &status) < 0)
        err(1, "%s", tender->image);
    if ((size_t)status.st_size < sizeof *elf)
        refuse("%s: not an ELF file", tender->image);
    file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED)
        err(1, "%s", tender->image);
    elf = (const Elf64_Ehdr *)file;
    if (memcmp(elf->e_ident, ELFMAG "\2\1", 6) != 0 || elf->e_type != ET_EXEC || elf->e_machine != EM_X86_64 ||
        elf->e_ehsize != sizeof *elf || elf->e_phentsize != sizeof *headers ||
        elf->e_phoff > (uint64_t)status.st_size - elf->e_phnum * sizeof *headers)
        refuse("%s: not a static x86_64 ELF file", tender->image);
    headers = (const Elf64_Phdr *)(file + elf->e_phoff);
    for (int i = 0; i < elf->e_phnum; i++) {
        uint32_t found;
        const uint8_t *description;

        if ((description = note_of(file, &headers[i], TYPE_ABI, &found)) != NULL)
            abi = description, abi_size = found;
        if ((description = note_of(file, &headers[i], TYPE_MANIFEST, &found)) != NULL)
            manifest = description, manifest_size = found;
    }
    check_abi(tender->image, abi, abi_size);
    tender->mft = copy_manifest(tender->image, manifest, manifest_size);
    for (int i = 0; i < elf->e_phnum; i++) {
        if (headers[i].p_type == PT_LOAD && headers[i].p_filesz)
            load_segment(tender, file, (size_t)status.st_size, &headers[i]);
    }
    if (elf->e_entry < LOWEST || elf->e_entry >= tender->mem_size)
        refuse("%s: the entry point lies outside of memory", tender->image);
    tender->entry = elf->e_entry;
    close(fd);
}
