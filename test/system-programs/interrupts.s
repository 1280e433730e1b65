// For both runtimes: the redistributor at x0 lets the interrupts in `enabled` through, all of group 1, and this processor's interface takes them. Uses x0 and x1.
  .macro take_interrupts enabled
  ldr w1, [x0, #0x14]
  bic w1, w1, #2
  str w1, [x0, #0x14]
1: ldr w1, [x0, #0x14]
  tbnz w1, #2, 1b
  add x0, x0, #0x10000
  mov w1, #-1
  str w1, [x0, #0x80]
  ldr w1, =\enabled
  str w1, [x0, #0x100]
  mov x1, #7
  msr S3_0_C12_C12_5, x1               // ICC_SRE_EL1
  isb
  mov x1, #0xff
  msr S3_0_C4_C6_0, x1                 // ICC_PMR_EL1
  mov x1, #1
  msr S3_0_C12_C12_7, x1               // ICC_IGRPEN1_EL1
  isb
  .endm
