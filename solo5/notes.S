/* The two notes that the tender reads: ABI, and the manifest (generated from manifest.json into manifest.inc). */

    .section .note.abi, "a", @note
    .balign 4
    .long 6, 16, 0x31494241
    .asciz "Solo5"
    .balign 4, 0
    .long 1, 2, 0, 0 /* hvt, version 2 */

    .section .note.manifest, "a", @note
    .balign 4
    .include "manifest.inc"

    .section .payload, "a"
    .skip 8 /* the packer's */

    .section .note.GNU-stack, "", @progbits
