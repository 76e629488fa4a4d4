/*
 * The entries of the tender, of system calls and exceptions. One processor, no interrupts: nothing here is interrupted except
 * by exceptions, which have a stack of their own (IST 1).
 *
 * On a host that emulates ring 0 (README.md) the system call path runs in ring 3: it must hold no instruction that ring
 * 3 may not execute, and reads %cs to see which way back to take.
 */

#include "selectors.h"

    .macro push_registers
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .endm

    .macro pop_registers
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp /* vector, error code */
    .endm

    .section .text

    .globl _start
_start: /* rdi: boot info */
    movq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    call kmain
    ud2

/* SYSCALL: rcx = return address, r11 = flags. Builds a struct frame (frame.h); the C side may change all of it. */
    .globl syscall_entry
syscall_entry:
    movq %rsp, user_stack
    movq $syscall_stack_top, %rsp
    pushq $USER_DATA
    pushq user_stack
    pushq %r11
    pushq $USER_CODE
    pushq %rcx
    pushq $0
    pushq $SYSCALL_VECTOR
    push_registers
    cld
    movq %rsp, %rdi
    call system_call
    movl %cs, %eax
    testb $3, %al
    jnz return_in_ring_3
    pop_registers
    popq %rcx
    addq $8, %rsp
    popq %r11
    movq (%rsp), %rsp
    sysretq

return_in_ring_3: /* never left it */
    pop_registers
    popq %rcx
    addq $8, %rsp
    popfq
    movq (%rsp), %rsp
    jmp *%rcx

/* hypercall(port, address): OUT, which ring 3 may not do; there #UD stands for it (exception 6 below). */
    .globl hypercall_out
hypercall_out:
    movl %edi, %edx
    movl %esi, %eax
    movl %cs, %ecx
    testb $3, %cl
    jnz escape_out
    outl %eax, %dx
    ret
escape_out:
    ud2
    ret

/* privileged(operation, value): privileged_here in C, by way of #UD where that has to be. */
    .globl privileged
    .globl escape_privileged
privileged:
    movl %cs, %ecx
    testb $3, %cl
    jz privileged_here
escape_privileged:
    ud2
    ret

/* enter_user(rip, rsp): to ring 3 with clear registers. Does not return. */
    .globl enter_user
enter_user:
    pushq $USER_DATA
    pushq %rsi
    pushq $2
    pushq $USER_CODE
    pushq %rdi
    xorl %edi, %edi
    xorl %esi, %esi
    iretq

    .macro exception number
exception_\number:
    .if !(\number == 8 || (\number >= 10 && \number <= 14) || \number == 17 || \number == 21 || \number == 29 || \number == 30)
    pushq $0
    .endif
    pushq $\number
    jmp exception_common
    .endm

/* #UD: where ring 0 is emulated every instruction counts, so a hypercall takes the shortest way. */
exception_6:
    cmpq $escape_out, (%rsp)
    jne 1f
    cmpb $0, emulated_ring0
    je 1f
    outl %eax, %dx
    addq $2, (%rsp)
    iretq
1:
    pushq $0
    pushq $6
    jmp exception_common

    .altmacro
    .set number, 0
    .rept EXCEPTIONS
    .if number != 6
    exception %number
    .endif
    .set number, number + 1
    .endr

exception_common:
    push_registers
    cld
    movq %rsp, %rdi
    call trap
    pop_registers
    iretq

    .section .rodata
    .globl exception_entries
    .balign 8
exception_entries:
    .macro entry number
    .quad exception_\number
    .endm
    .set number, 0
    .rept EXCEPTIONS
    entry %number
    .set number, number + 1
    .endr

/* The only code of ours that runs in ring 3 on every host: see start.c. A page of its own, mapped for the application. */
    .section .probe, "ax"
    .globl probe_code
    .balign 4096
probe_code:
    movl $CALL_PROBE, %eax
    syscall
    movl $CALL_START, %eax
    syscall
    ud2
    .balign 4096

    .section .bss
    .balign 16
    .skip 16384
boot_stack_top:
    .skip 16384
syscall_stack_top:
    .globl exception_stack_top
    .skip 16384
exception_stack_top:
user_stack:
    .skip 8

    .section .note.GNU-stack, "", @progbits
