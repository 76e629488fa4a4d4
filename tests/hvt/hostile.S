/*
 * A program that means ill: jumps to where the nano-kernel takes system calls (argument of the assembler: TARGET), which no
 * program may execute. What it writes before shows that it ran.
 */

    .globl _start
_start:
    movl $1, %eax
    movl $1, %edi
    movq $text, %rsi
    movl $8, %edx
    syscall
    movl $231, %eax /* were it to get in, this would be an orderly exit */
    xorl %edi, %edi
    movq $TARGET, %rbx
    jmp *%rbx

    .section .rodata
text:
    .ascii "hostile\n"
    .section .note.GNU-stack, "", @progbits
