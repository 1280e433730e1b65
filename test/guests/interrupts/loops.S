/*
 * Loops that interrupts are raised in. They use no stack, so an interrupt may end one by returning to loop_end. x19: 256 KiB of
 * data, x20: a ring of pointers through 32 MiB, x21: code without a branch, x22: an address that is not mapped.
 */
  .text
  .global loop_run, loop_end
/* void loop_run(void (*loop)(void), void *data, void *ring, void *code, void *unmapped): takes interrupts, which may come
 * only once it has saved its registers, and returns when loop_end is reached. */
loop_run:
  stp x29, x30, [sp, #-96]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  mov x19, x1
  mov x20, x2
  mov x21, x3
  mov x22, x4
  mov x28, x0
  msr daifclr, #2
  isb
  br x28
loop_end:
  msr daifset, #2
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp x29, x30, [sp], #96
  ret

  .macro loop name
  .global loop_\name
  .balign 64
loop_\name:
  .endm

  loop self
  b .

  loop alu
  add x0, x0, #1
  eor x1, x1, x0
  add x2, x2, x1, lsl #3
  b loop_alu

  loop divide
  orr x3, x3, #7
  udiv x1, x2, x3
  udiv x2, x1, x3
  b loop_divide

  loop copy
  mov x0, x19
  add x1, x19, #131072
  mov x2, #1024
1: ldp x3, x4, [x0], #16
  stp x3, x4, [x1], #16
  subs x2, x2, #1
  b.ne 1b
  b loop_copy

  loop chase
  ldr x20, [x20]
  b loop_chase

  /* Rounding upwards: every operation is done outside generated code. */
  loop exact
  mov x0, #(1 << 22)
  msr fpcr, x0
  fmov d1, #1.0
  fmov d2, #3.0
1: fdiv d0, d1, d2
  fmadd d3, d0, d1, d2
  b 1b

  loop counter
  mrs x0, cntvct_el0
  b loop_counter

  loop exclusive
  ldxr x0, [x19]
  stxr w1, x0, [x19]
  b loop_exclusive

  loop zero
  mov x0, x19
  mov x1, #1024
1: dc zva, x0
  add x0, x0, #64
  subs x1, x1, #1
  b.ne 1b
  b loop_zero

  loop call
  svc #0
  b loop_call

  loop fault
  ldr x0, [x22]
  b loop_fault

  loop tlbi
  tlbi vmalle1
  dsb nsh
  ldr x0, [x19]
  b loop_tlbi

  loop wfe
  wfe
  b loop_wfe

  loop event
  sevl
  wfe
  b loop_event

  /* 256 KiB of code that has to be decoded anew in each round; its last instruction comes back here. */
  loop cold
  ic iallu
  dsb nsh
  isb
  adr x0, loop_cold
  br x21

  /* From registers, then waiting for memory, and back. */
  loop pace
  mov x0, #60000
1: add x1, x1, x0
  eor x2, x2, x1
  subs x0, x0, #1
  b.ne 1b
  mov x0, #1000
2: ldr x20, [x20]
  subs x0, x0, #1
  b.ne 2b
  b loop_pace

  /* Vectors that note the counter in TPIDRRO_EL0 before anything else, and go on as the runtime's. */
  .balign 2048
  .global vectors_noting
vectors_noting:
  .irp v, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  .balign 128
  msr tpidr_el0, x0
  mrs x0, cntvct_el0
  msr tpidrro_el0, x0
  mrs x0, tpidr_el0
  b vectors + \v * 128
  .endr
