// Entry, exception vectors and the switch to EL0. Entered at EL1 with the MMU off and x0 = device tree or 0.
  .section .text.start, "ax"
  .global _start
_start:
  msr daifset, #15
  mov x19, x0
  adrp x1, __stacks
  add x1, x1, #0x10, lsl #12
  mov sp, x1
  mov x1, #(3 << 20)                  // CPACR_EL1.FPEN: no traps of FP and SIMD
  msr cpacr_el1, x1
  isb
  adrp x1, __bss_start
  adrp x2, __bss_end
1: stp xzr, xzr, [x1], #16
  cmp x1, x2
  b.lo 1b
  adrp x1, vectors
  add x1, x1, :lo12:vectors
  msr vbar_el1, x1
  adrp x1, cpus
  add x1, x1, :lo12:cpus
  msr tpidr_el1, x1
  bl mmu_build
  bl mmu_enable
  mov x0, x19
  bl platform_start
  bl guest_main
  b power_off

// A CPU started by PSCI: x0 = {stack, entry, argument, cpu}.
  .global secondary_start
secondary_start:
  msr daifset, #15
  ldp x1, x20, [x0]
  ldp x21, x2, [x0, #16]
  mov sp, x1
  msr tpidr_el1, x2
  mov x1, #(3 << 20)
  msr cpacr_el1, x1
  adrp x1, vectors
  add x1, x1, :lo12:vectors
  msr vbar_el1, x1
  isb
  bl mmu_enable
  mov x0, x21
  blr x20
  movz w0, #0x0002                    // PSCI CPU_OFF
  movk w0, #0x8400, lsl #16
  hvc #0
  b .

  .macro entry vector
  .balign 128
  sub sp, sp, #288
  stp x0, x1, [sp]
  mov x1, #\vector
  b save
  .endm

  .text
  .balign 2048
  .global vectors
vectors:
  .irp v, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  entry \v
  .endr

save:
  stp x2, x3, [sp, #16]
  stp x4, x5, [sp, #32]
  stp x6, x7, [sp, #48]
  stp x8, x9, [sp, #64]
  stp x10, x11, [sp, #80]
  stp x12, x13, [sp, #96]
  stp x14, x15, [sp, #112]
  stp x16, x17, [sp, #128]
  stp x18, x19, [sp, #144]
  stp x20, x21, [sp, #160]
  stp x22, x23, [sp, #176]
  stp x24, x25, [sp, #192]
  stp x26, x27, [sp, #208]
  stp x28, x29, [sp, #224]
  mrs x2, sp_el0
  stp x30, x2, [sp, #240]
  mrs x2, elr_el1
  mrs x3, spsr_el1
  stp x2, x3, [sp, #256]
  mrs x2, esr_el1
  mrs x3, far_el1
  stp x2, x3, [sp, #272]
  mov x0, sp
  bl exception
  mrs x2, tpidr_el1
  ldp x3, x4, [x2]
  cbnz x4, leave_el0
  ldp x2, x3, [sp, #256]
  msr elr_el1, x2
  msr spsr_el1, x3
  ldp x30, x2, [sp, #240]
  msr sp_el0, x2
  ldp x28, x29, [sp, #224]
  ldp x26, x27, [sp, #208]
  ldp x24, x25, [sp, #192]
  ldp x22, x23, [sp, #176]
  ldp x20, x21, [sp, #160]
  ldp x18, x19, [sp, #144]
  ldp x16, x17, [sp, #128]
  ldp x14, x15, [sp, #112]
  ldp x12, x13, [sp, #96]
  ldp x10, x11, [sp, #80]
  ldp x8, x9, [sp, #64]
  ldp x6, x7, [sp, #48]
  ldp x4, x5, [sp, #32]
  ldp x2, x3, [sp, #16]
  ldp x0, x1, [sp]
  add sp, sp, #288
  eret

leave_el0:
  mov sp, x3
  stp xzr, xzr, [x2]
  ldp x29, x30, [sp]
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret

  .global el0_run
el0_run:
  sub sp, sp, #160
  stp x29, x30, [sp]
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mrs x2, tpidr_el1
  mov x3, sp
  stp x3, xzr, [x2]
  ldr x2, [x0, #248]
  msr sp_el0, x2
  ldp x2, x3, [x0, #256]
  msr elr_el1, x2
  msr spsr_el1, x3
  ldp x6, x7, [x0, #48]
  ldp x4, x5, [x0, #32]
  ldp x2, x3, [x0, #16]
  ldp x0, x1, [x0]
  eret
