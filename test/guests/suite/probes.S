// Single instructions under test. At EL1: called as C functions, a trap skips the instruction. At EL0: x0, x1 are set,
// the result goes to x3 and svc #0 ends the program.
  .arch_extension lse
  .macro probe name, insn:vararg
  .global \name
\name:
  \insn
  ret
  .endm
  .macro user name, insn:vararg
  .global \name
\name:
  \insn
  svc #0
  .endm
  .text
  probe probe_load, ldr x0, [x0]
  probe probe_load_byte, ldrb w0, [x0]
  probe probe_load_exclusive, ldxr x0, [x0]
  probe probe_load_acquire, ldar x0, [x0]
  probe probe_load_unprivileged, ldtr x0, [x0]
  probe probe_store, str x1, [x0]
  probe probe_store_release, stlr x1, [x0]
  probe probe_store_pair, stp x1, x1, [x0]
  probe probe_store_unprivileged, sttr x1, [x0]
  probe probe_zero, dc zva, x0
  probe probe_svc, svc #0x1234
  probe probe_brk, brk #0x5a5a
  probe probe_undefined, .inst 0x00000000
  probe probe_undefined_2, .inst 0xffffffff
  probe probe_fp, .inst 0x1e602800          // fadd d0, d0, d0
  probe probe_simd, .inst 0x4ea08400        // add v0.4s, v0.4s, v0.4s
  probe probe_unallocated_read, mrs x0, S3_0_C5_C4_7
  probe probe_unallocated_write, msr S3_0_C5_C4_7, x0
  probe probe_unallocated_el3, mrs x0, S3_6_C1_C0_0
  probe probe_unallocated_el2, mrs x0, S3_4_C1_C1_0
  probe probe_write_midr, msr S3_0_C0_C0_0, x0
  probe probe_execute, br x0
  .global probe_load_pair, probe_load_quad, probe_store_quad, probe_svc_sp0, probe_sp_unaligned, probe_svc_flags, probe_eret
probe_load_pair:
  ldp x0, x1, [x0]
  add x0, x0, x1
  ret
probe_load_quad:
  .inst 0x3dc00000                          // ldr q0, [x0]
  .inst 0x4e083c00                          // mov x0, v0.d[0]
  .inst 0x4e183c01                          // mov x1, v0.d[1]
  add x0, x0, x1
  ret
probe_store_quad:
  .inst 0x4e080c20                          // dup v0.2d, x1
  .global probe_store_quad_at
probe_store_quad_at:
  .inst 0x3d800000                          // str q0, [x0]
  ret
probe_svc_sp0:
  msr spsel, #0
  .global probe_svc_sp0_at
probe_svc_sp0_at:
  svc #7
  msr spsel, #1
  ret
probe_sp_unaligned:
  mov x1, sp
  sub x0, x1, #8
  mov sp, x0
  .global probe_sp_unaligned_at
probe_sp_unaligned_at:
  ldr x0, [sp]
  mov sp, x1
  ret
probe_svc_flags:                            // all four condition flags set
  mov x0, #0xf0000000
  msr nzcv, x0
  svc #1
  mrs x0, nzcv
  ret
probe_eret:                                 // x0 = SPSR; goes on at the caller
  msr spsr_el1, x0
  msr elr_el1, x30
  isb
  eret

  .section .user, "ax"
  user user_svc, nop
  user user_load, ldr x3, [x0]
  user user_store, str x1, [x0]
  user user_jump, br x0
  user user_brk, brk #0x77
  user user_undefined, .inst 0x00000000
  user user_hvc, hvc #0
  user user_smc, smc #0
  user user_read_sctlr, mrs x3, sctlr_el1
  user user_write_vbar, msr vbar_el1, x0
  user user_read_ctr, mrs x3, ctr_el0
  user user_read_daif, mrs x3, daif
  user user_set_daif, msr daifset, #2
  user user_read_counter, mrs x3, cntvct_el0
  user user_read_timer, mrs x3, cntv_ctl_el0
  user user_read_physical, mrs x3, cntpct_el0
  user user_fp, .inst 0x1e602800
  user user_wfi, wfi
  user user_zero, dc zva, x0
  user user_ivau, ic ivau, x0
  user user_cvac, dc cvac, x0
  user user_eret, eret
  user user_tlbi, tlbi vmalle1
  user user_spsel, msr spsel, #0
  user user_ldxr, ldxr x3, [x0]
  user user_store_byte, strb w1, [x0]
  user user_store_pair, stp x1, x1, [x0]
  user user_id, mrs x3, id_aa64pfr0_el1
  .global user_stack, user_step
user_stack:                                 // pushes, pops and reads its thread register
  stp x0, x1, [sp, #-16]!
  ldr x3, [sp], #16
  mrs x2, tpidr_el0
  add x3, x3, x2
  svc #0x55
user_step:
  nop
  ldxr x3, [x0]
  clrex
  svc #0
