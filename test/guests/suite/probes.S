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
probe_sp_unaligned:                         // on SP_EL0: the handler needs its own stack pointer aligned
  mrs x1, sp_el0
  mov x0, sp
  sub x0, x0, #8
  msr sp_el0, x0
  msr spsel, #0
  .global probe_sp_unaligned_at
probe_sp_unaligned_at:
  ldr x0, [sp]
  msr spsel, #1
  msr sp_el0, x1
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

// Addressing forms whose base or first result must not have changed when the access faults.
  user user_load_post, ldr x3, [x0], #8
  user user_load_pre, ldr x3, [x0, #8]!
  user user_load_self, ldr x0, [x0]
  user user_pair_self, ldp x0, x3, [x0]
  user user_pair_first, ldp x3, x0, [x0]
  user user_pair_post, ldp x3, x4, [x0], #16
  user user_word_pair, ldpsw x3, x0, [x0]
  user user_store_pre, str x1, [x0, #-8]!
  user user_store_pair_post, stp x1, x1, [x0], #16
  user user_load_many, ld1 {v0.16b-v3.16b}, [x0], #64
  user user_load_structures, ld4 {v0.4s-v3.4s}, [x0], #64
  user user_store_many, st1 {v0.16b-v3.16b}, [x0], #64
  user user_store_structures, st4 {v0.8h-v3.8h}, [x0], #64
  user user_load_quads, ldp q0, q1, [x0], #32
  .global user_sum, user_spin, user_count, user_sum_structures
user_sum:                                   // x0 = address, x1 = pages: sum of the first words in x3
  mov x3, #0
1: ldr x4, [x0]
  add x0, x0, #1, lsl #12
  add x3, x3, x4
  subs x1, x1, #1
  b.ne 1b
  svc #0
user_spin:
  b .
user_count:                                 // a loop without memory accesses or calls
  add x0, x0, #1
  eor x1, x1, x0
  b user_count
user_sum_structures:                        // ld4 over a page edge: column sums
  ld4 {v0.4s-v3.4s}, [x0]
  add v0.4s, v0.4s, v3.4s
  add v1.4s, v1.4s, v2.4s
  mul v0.4s, v0.4s, v1.4s
  addv s0, v0.4s
  fmov w3, s0
  svc #0
  .text
  .global probe_spin
probe_spin:
  b .
  ret
