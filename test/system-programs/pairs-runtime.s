// Runs the pairs of programs that pairs.ts wrote, one half on each of two CPUs, and prints a digest of what memory holds
// after both, and how many forbidden outcomes there were. Entered at EL1 with the MMU off; while a program runs x19 is the
// address of the cells, and x24 that of another page for variables.
  .equ UART, 0x09000000
  .equ WINDOW, 0xffffff8000000000       // a page by TTBR1 that programs map to either of two frames
  .section .text, "ax"
  .global _start
_start:
  msr daifset, #15
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
  blr x22
  bl rendezvous
  bl check
  b 1b

second:
  msr daifset, #15
  bl start_cpu
  adrp x21, pairs
  add x21, x21, :lo12:pairs
1: ldp x22, x23, [x21], #16
  cbz x22, .
  adrp x19, cells
  add x24, x19, #4096
  bl rendezvous
  blr x23
  bl rendezvous
  b 1b

start_cpu:
  adrp x1, vectors
  add x1, x1, :lo12:vectors
  msr vbar_el1, x1
  adrp x1, l1
  ldr x2, =0x0060000000000401           // devices
  ldr x3, =0x0040000000000705           // RAM, inner shareable
  orr x3, x3, #0x40000000
  stp x2, x3, [x1]
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

// Both CPUs meet; changes x16 to x18. The count of arrivals only grows.
rendezvous:
  adrp x16, meeting
  mov x17, #1
  ldaddal x17, x18, [x16]
  orr x18, x18, #1                      // the arrivals before the second of this meeting
1: ldar x17, [x16]
  cmp x17, x18
  b.hi 2f
  yield
  b 1b
2: ret

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
  bl put_hex
  mov x0, x28
  mov x30, x27
  b put_hex

  .balign 2048
vectors:
  .rept 16
  .balign 128
  b panic
  .endr
  .balign 128
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
  mov w3, #10
  str w3, [x1]
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
  .bss
  .balign 4096
  .irp p, l1, window_l1, window_l2, window_l3, frame_a, frame_b, meeting, cells, others
\p: .skip 4096
  .endr

  .include "pairs-programs.s"
