// Runs the pairs of programs that pairs.ts wrote, one half on each of two CPUs, and prints a digest of what memory holds
// after both and of the exceptions that each half took, and, if there were any, how many forbidden outcomes. Entered at EL1 with the MMU
// off; while a program runs x19 is the address of the cells, x24 that of another page for variables, and TPIDR_EL1 has the digest of the
// exceptions.
  .include "interrupts.s"
  .equ UART, 0x09000000
  .equ GICD, 0x08000000
  .equ GICR, 0x080a0000
  .equ USER, 0x40000000                 // what RAM's addresses at EL0 are higher by
  .equ EXCEPTIONS, 53 * 16              // cells: digest and number of each half's exceptions,
  .equ INTERRUPTS, 55 * 16              // and interrupts taken by each half, with the sum of their numbers
  .equ SPINS, 1000
  .equ WINDOW, 0xffffff8000000000       // a page by TTBR1 that programs map to either of two frames
  .section .text, "ax"
  .global _start
_start:
  msr daifset, #15
  ldr x0, =GICD
  mov w1, #0x12
  str w1, [x0]
  ldr x0, =GICR
  adr x1, stacks_at
  ldr x1, [x1]
  bl start_cpu
  ldr x0, =0xc4000003                   // CPU_ON
  mov x1, #1
  adr x2, second
  mov x3, #0
  hvc #0
  cbnz x0, panic
  mov x20, #0
  adrp x21, pairs
  add x21, x21, :lo12:pairs
1: ldp x22, x23, [x21], #16
  cbz x22, finish
  adrp x19, cells
  add x24, x19, #4096
  mov x0, x19
  mov x1, #8192
2: stp xzr, xzr, [x0], #16
  subs x1, x1, #16
  b.ne 2b
  bl rendezvous
  msr tpidr_el1, xzr
  mov x23, #0
  blr x22
  mrs x0, tpidr_el1
  add x1, x19, #EXCEPTIONS
  stp x0, x23, [x1]
  bl rendezvous
  bl check
  b 1b
stacks_at: .quad stacks + 4096

second:
  msr daifset, #15
  ldr x0, =GICR + 0x20000
  adr x1, stacks_at
  ldr x1, [x1]
  add x1, x1, #4096
  bl start_cpu
  adrp x21, pairs
  add x21, x21, :lo12:pairs
1: ldp x22, x23, [x21], #16
  cbz x22, .
  adrp x19, cells
  add x24, x19, #4096
  bl rendezvous
  msr tpidr_el1, xzr
  mov x22, x23
  mov x23, #0
  blr x22
  mrs x0, tpidr_el1
  add x1, x19, #(EXCEPTIONS + 16)
  stp x0, x23, [x1]
  bl rendezvous
  b 1b

// With the redistributor at x0 and the stack that ends at x1.
start_cpu:
  mov sp, x1
  mov x1, #(3 << 20)
  msr cpacr_el1, x1
  take_interrupts 0xffff
  adrp x1, vectors
  add x1, x1, :lo12:vectors
  msr vbar_el1, x1
  adrp x1, l1
  ldr x2, =0x0060000000000401           // devices
  ldr x3, =0x0040000000000705           // RAM, inner shareable
  orr x3, x3, #0x40000000
  stp x2, x3, [x1]
  ldr x2, =0x0020000040000745           // RAM once more, for EL0
  str x2, [x1, #16]
  msr ttbr0_el1, x1
  adrp x2, window_l1
  adrp x3, window_l2
  adrp x4, window_l3
  orr x5, x3, #3
  str x5, [x2]
  orr x5, x4, #3
  str x5, [x3]
  adrp x5, frame_a
  ldr x6, =0x0060000000000707
  orr x5, x5, x6
  str x5, [x4]
  adrp x5, read_only                    // behind the window: a page that cannot be written, one never accessed, and nothing
  ldr x6, =0x0060000000000787
  orr x5, x5, x6
  str x5, [x4, #8]
  bic x5, x5, #0x400
  str x5, [x4, #16]
  msr ttbr1_el1, x2
  adrp x1, frame_a
  mov x2, #0xa
  str x2, [x1]
  adrp x1, frame_b
  mov x2, #0xb
  str x2, [x1]
  ldr x1, =0xff00
  msr mair_el1, x1
  ldr x1, =(25 | (25 << 16) | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 24) | (1 << 26) | (3 << 28) | (2 << 30) | (2 << 32))
  msr tcr_el1, x1
  isb
  tlbi vmalle1
  dsb sy
  isb
  ldr x1, =((1 << 29) | (1 << 28) | (1 << 23) | (1 << 22) | (1 << 20) | (1 << 12) | (1 << 11) | (1 << 8) | (1 << 7) | (1 << 2) | 1)
  msr sctlr_el1, x1
  isb
  ret

// Both CPUs meet; changes x15 to x18. The count of arrivals only grows. Who waits for long sleeps: the other may need its processor.
rendezvous:
  adrp x16, meeting
  mov x17, #1
  ldaddal x17, x18, [x16]
  orr x18, x18, #1                      // the arrivals before the second of this meeting
  dsb ish
  sev
  mov w15, #SPINS
1: ldar x17, [x16]
  cmp x17, x18
  b.hi 3f
  cbz w15, 2f
  sub w15, w15, #1
  yield
  b 1b
2: wfe
  b 1b
3: ret

// What the halves exchanged is added up, all that is order-free is digested, and forbidden outcomes are printed apart.
check:
  mov x27, x30
  mov x26, #0
  adrp x0, cells
  ldr x1, [x0, #(32 * 16)]              // what is left of the exchanges belongs to their sums
  ldr x2, [x0, #(34 * 16)]
  add x2, x2, x1
  str x2, [x0, #(34 * 16)]
  str xzr, [x0, #(32 * 16)]
  ldr w1, [x0, #(33 * 16)]
  ldr x2, [x0, #(35 * 16)]
  add x2, x2, x1
  str x2, [x0, #(35 * 16)]
  str xzr, [x0, #(33 * 16)]
  ldr x28, [x0, #(51 * 16)]
  ldr x1, [x0, #(52 * 16)]
  orr x28, x28, x1, lsl #32
  str xzr, [x0, #(51 * 16)]
  str xzr, [x0, #(52 * 16)]
  ldr x5, =0x9e3779b97f4a7c15
  mov x1, #128
1: ldr x2, [x0], #8
  eor x26, x26, x2
  mul x26, x26, x5
  eor x26, x26, x26, lsr #29
  subs x1, x1, #1
  b.ne 1b
  mov x0, x26
  bl put_digits
  cbz x28, 2f
  mov w3, #' '
  str w3, [x1]
  mov x0, x28
  bl put_digits
2: mov w3, #10
  str w3, [x1]
  ret x27

  .balign 2048
vectors:
  .irp v, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  .balign 128
  .if \v == 4 || \v == 8
  b exception
  .elseif \v == 5 || \v == 9
  b interrupt
  .else
  b panic
  .endif
  .endr
  .balign 128

// A program's own exceptions: ESR, ELR, SPSR and, of aborts, FAR go into the digest. x23 counts them. The program goes on behind the
// instruction, or, where it could not fetch one, where x30 says. SVC #0xff leads back from EL0.
exception:
  stp x0, x1, [sp, #-48]!
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  mrs x0, esr_el1
  mrs x1, elr_el1
  mrs x2, spsr_el1
  lsr x3, x0, #26
  cbz x23, 1f                           // whose count is not far is lost
  cmp x23, #4095
  b.hi panic
1: mrs x4, tpidr_el1
  ldr x5, =0x9e3779b97f4a7c15
  .irp part, x0, x1, x2
  eor x4, x4, \part
  mul x4, x4, x5
  eor x4, x4, x4, lsr #29
  .endr
  cmp x3, #0x15                         // SVC
  b.eq 4f
  cbz x3, 2f                            // undefined
  cmp x3, #0x3c                         // BRK
  b.eq 2f
  sub x0, x3, #0x20
  cmp x0, #5
  b.hi panic
  mrs x0, far_el1
  eor x4, x4, x0
  mul x4, x4, x5
  eor x4, x4, x4, lsr #29
  cmp x3, #0x24
  b.hs 2f
  mov x1, x30
  b 3f
2: add x1, x1, #4
3: msr elr_el1, x1
  b 5f
4: and x0, x0, #0xffff
  cmp x0, #0xff
  b.ne 5f
  mov x0, #USER
  sub x1, x1, x0
  msr elr_el1, x1
  mov x2, #0x3c5
  msr spsr_el1, x2
5: msr tpidr_el1, x4
  add x23, x23, #1
  ldp x4, x5, [sp, #32]
  ldp x2, x3, [sp, #16]
  ldp x0, x1, [sp], #48
  eret

interrupt:
  stp x0, x1, [sp, #-32]!
  stp x2, x3, [sp, #16]
  mrs x0, S3_0_C12_C12_0               // ICC_IAR1_EL1
  cmp w0, #16
  b.hs 1f
  msr S3_0_C12_C12_1, x0               // ICC_EOIR1_EL1
  adrp x1, cells
  add x1, x1, #INTERRUPTS
  mrs x2, mpidr_el1
  and x2, x2, #1
  add x1, x1, x2, lsl #4
  ldp x2, x3, [x1]
  add x3, x3, x0
  str x3, [x1, #8]
  add x2, x2, #1
  str x2, [x1]
1: ldp x2, x3, [sp, #16]
  ldp x0, x1, [sp], #32
  eret

panic:
  adr x0, panic_text
  bl puts
  mrs x0, esr_el1
  bl put_hex
  mrs x0, elr_el1
  bl put_hex
  mrs x0, far_el1
  bl put_hex
  b power_off
finish:
  adr x0, done_text
  bl puts
power_off:
  ldr w0, =0x84000008
  hvc #0
  b .
put_hex:
  mov x7, x30
  bl put_digits
  mov w3, #10
  str w3, [x1]
  ret x7
put_digits:
  ldr x1, =UART
  mov w2, #60
1: lsr x3, x0, x2
  and w3, w3, #15
  add w4, w3, #'0'
  add w5, w3, #('a' - 10)
  cmp w3, #10
  csel w3, w4, w5, lo
  str w3, [x1]
  subs w2, w2, #4
  b.pl 1b
  ret
puts:
  ldr x1, =UART
1: ldrb w2, [x0], #1
  cbz w2, 2f
  str w2, [x1]
  b 1b
2: ret
done_text: .asciz "done\n"
panic_text: .asciz "panic\n"
  .balign 8
  .ltorg

  .section .changing, "awx"
  .balign 4096
code:                                   // MOVZ w0, #n; RET: the numbers change
  .rept 64
  mov w0, #0
  ret
  .endr
  .balign 4096
own_code:                               // of each half: an instruction that it changes; RET
  .rept 512
  nop
  ret
  .endr
  .balign 4096
  .bss
  .balign 4096
  .irp p, l1, window_l1, window_l2, window_l3, frame_a, frame_b, meeting, cells, others, stacks, more_stacks, read_only
\p: .skip 4096
  .endr

  .include "pairs-programs.s"
