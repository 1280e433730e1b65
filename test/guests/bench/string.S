// memcpy, memset and strlen in the manner of an AArch64 libc: 16-byte vectors, overlapping ends, DC ZVA for big clears.
  .text
  .global neon_memcpy
  .balign 64
neon_memcpy:
  add x4, x1, x2                      // source end
  add x5, x0, x2                      // target end
  cmp x2, #128
  b.hi 4f
  cmp x2, #32
  b.hi 3f
  cmp x2, #16
  b.lo 1f
  ldr q0, [x1]
  ldr q1, [x4, #-16]
  str q0, [x0]
  str q1, [x5, #-16]
  ret
1: tbz x2, #3, 2f
  ldr x6, [x1]
  ldr x7, [x4, #-8]
  str x6, [x0]
  str x7, [x5, #-8]
  ret
2: tbz x2, #2, 5f
  ldr w6, [x1]
  ldr w7, [x4, #-4]
  str w6, [x0]
  str w7, [x5, #-4]
  ret
5: cbz x2, 6f
  lsr x6, x2, #1
  ldrb w7, [x1]
  ldrb w8, [x4, #-1]
  ldrb w9, [x1, x6]
  strb w7, [x0]
  strb w9, [x0, x6]
  strb w8, [x5, #-1]
6: ret
3: ldp q0, q1, [x1]
  ldp q2, q3, [x4, #-32]
  cmp x2, #64
  b.ls 7f
  ldp q4, q5, [x1, #32]
  cmp x2, #96
  b.ls 8f
  ldp q6, q7, [x4, #-64]
  stp q6, q7, [x5, #-64]
8: stp q4, q5, [x0, #32]
7: stp q0, q1, [x0]
  stp q2, q3, [x5, #-32]
  ret
4: ldr q3, [x1]                       // long: align the target, 64 bytes a turn, the tail from the end
  and x6, x0, #15
  bic x3, x0, #15
  sub x1, x1, x6
  add x2, x2, x6
  ldp q0, q1, [x1, #16]
  str q3, [x0]
  ldp q2, q3, [x1, #48]
  subs x2, x2, #144
  b.ls 10f
9: stp q0, q1, [x3, #16]
  ldp q0, q1, [x1, #80]
  stp q2, q3, [x3, #48]
  ldp q2, q3, [x1, #112]
  add x1, x1, #64
  add x3, x3, #64
  subs x2, x2, #64
  b.hi 9b
10: ldp q4, q5, [x4, #-64]
  stp q0, q1, [x3, #16]
  ldp q0, q1, [x4, #-32]
  stp q2, q3, [x3, #48]
  stp q4, q5, [x5, #-64]
  stp q0, q1, [x5, #-32]
  ret

  .global neon_memset
  .balign 64
neon_memset:
  dup v0.16b, w1
  add x4, x0, x2
  cmp x2, #96
  b.hi 3f
  cmp x2, #16
  b.hs 2f
  umov x1, v0.d[0]
  tbz x2, #3, 1f
  str x1, [x0]
  str x1, [x4, #-8]
  ret
1: tbz x2, #2, 4f
  str w1, [x0]
  str w1, [x4, #-4]
  ret
4: cbz x2, 5f
  strb w1, [x0]
  tbz x2, #1, 5f
  strh w1, [x4, #-2]
5: ret
2: str q0, [x0]
  tbnz x2, #6, 6f
  str q0, [x4, #-16]
  tbz x2, #5, 5b
  str q0, [x0, #16]
  str q0, [x4, #-32]
  ret
6: str q0, [x0, #16]
  stp q0, q0, [x0, #32]
  stp q0, q0, [x4, #-32]
  ret
3: bic x3, x0, #15
  str q0, [x0]
  tst w1, #255
  b.ne 8f
  cmp x2, #256
  b.ls 8f
  mrs x5, dczid_el0
  and w5, w5, #31                     // DZP and block size: only 64-byte blocks are used
  cmp w5, #4
  b.ne 8f
  str q0, [x3, #16]                   // zero: DC ZVA from the next 64-byte line on
  stp q0, q0, [x3, #32]
  bic x3, x3, #63
  stp q0, q0, [x3, #64]
  stp q0, q0, [x3, #96]
  sub x2, x4, x3
  sub x2, x2, #128 + 64
  add x3, x3, #128
7: dc zva, x3
  add x3, x3, #64
  subs x2, x2, #64
  b.hi 7b
  stp q0, q0, [x4, #-64]
  stp q0, q0, [x4, #-32]
  ret
8: sub x2, x4, x3
  sub x3, x3, #16
  sub x2, x2, #80
9: stp q0, q0, [x3, #32]
  stp q0, q0, [x3, #64]
  add x3, x3, #64
  subs x2, x2, #64
  b.hi 9b
  stp q0, q0, [x4, #-64]
  stp q0, q0, [x4, #-32]
  ret

  .global neon_strlen
  .balign 64
neon_strlen:
  bic x1, x0, #15                     // aligned 16-byte loads never cross a page
  ldr q0, [x1]
  cmeq v0.16b, v0.16b, #0
  shrn v0.8b, v0.8h, #4               // a nibble per byte
  fmov x2, d0
  lsl x3, x0, #2
  lsr x2, x2, x3
  cbz x2, 1f
  rbit x2, x2
  clz x0, x2
  lsr x0, x0, #2
  ret
1: ldr q0, [x1, #16]
  cmeq v0.16b, v0.16b, #0
  umaxp v1.16b, v0.16b, v0.16b
  fmov x2, d1
  cbnz x2, 2f
  ldr q0, [x1, #32]!
  cmeq v0.16b, v0.16b, #0
  umaxp v1.16b, v0.16b, v0.16b
  fmov x2, d1
  cbz x2, 1b
  sub x1, x1, #16
2: shrn v0.8b, v0.8h, #4
  fmov x2, d0
  rbit x2, x2
  clz x2, x2
  add x1, x1, #16
  sub x0, x1, x0
  add x0, x0, x2, lsr #2
  ret
