// Vectors of the system benchmarks: short paths for some SVCs from EL0; everything else goes to the runtime's vectors.
// svc #0 returns at once, svc #3 swaps TTBR0_EL1 with TPIDRRO_EL0 (a context switch), others take the full frame.
  .text
  .balign 2048
  .global bench_vectors
bench_vectors:
  .irp v, 0,1,2,3,4,5,6,7
  .balign 128
  b vectors + \v * 128
  .endr
  .balign 128
  stp x0, x1, [sp, #-16]!
  mrs x0, esr_el1
  movz w1, #0x5600, lsl #16
  subs w0, w0, w1
  b.ne 1f
  ldp x0, x1, [sp], #16
  eret
1: cmp w0, #3
  b.ne 2f
  mrs x0, tpidrro_el0
  mrs x1, ttbr0_el1
  msr ttbr0_el1, x0
  msr tpidrro_el0, x1
  isb
  ldp x0, x1, [sp], #16
  eret
2: ldp x0, x1, [sp], #16
  b vectors + 8 * 128
  .irp v, 9,10,11,12,13,14,15
  .balign 128
  b vectors + \v * 128
  .endr

// EL0 side. x0 = rounds, x1 = first page, x2 = pages; each program ends in svc #1 with its sum in x3.
  .section .user, "ax"
  .global user_svc, user_svc_frame, user_switch, user_touch
user_svc:
  svc #0
  subs x0, x0, #1
  b.ne user_svc
  svc #1
user_svc_frame:
  svc #2
  subs x0, x0, #1
  b.ne user_svc_frame
  svc #1
user_switch:
  mov x3, #0
1: svc #3
  mov x4, x1
  mov x5, x2
2: ldr x6, [x4]
  add x3, x3, x6
  add x4, x4, #0x1000
  subs x5, x5, #1
  b.ne 2b
  subs x0, x0, #1
  b.ne 1b
  svc #1
user_touch:
  mov x3, #0
1: ldr x6, [x1]
  add x3, x3, x6
  add x1, x1, #0x1000
  subs x2, x2, #1
  b.ne 1b
  svc #1
