// Runs the programs of `programs.bin` one after the other and prints a digest of each; README.md describes the layout of
// memory. Assembled by image.ts. Entered at EL1 with the MMU off; runs by TTBR1, so that TTBR0 is the programs' alone.
  .include "interrupts.s"
  .equ HIGH, 0xffffff8000000000        // physical address 0 by TTBR1: 39 bits of 4 KiB pages, in blocks of 1 GiB
  .equ UART, HIGH + 0x09000000
  .equ GICD, HIGH + 0x08000000
  .equ GICR, HIGH + 0x080a0000
  .equ DATA, HIGH + 0x40000000         // RAM that can be written
  .equ L1, 0x47000000                  // physical; RAM is clear at the start
  .equ EMPTY, 0x47001000
  .equ FRAME, DATA + 0x47002000
  .equ FRAME_COPY, DATA + 0x47003000
  .equ VECTOR_FRAME, DATA + 0x47004000
  .equ STATE, DATA + 0x47005000
  .equ VERBOSE, STATE + 64
  .equ STACK_TOP, DATA + 0x47007000
  .equ FRAMES, DATA + 0x47400000       // data pages F0 to F5, one after the other
  .equ CODE, DATA + 0x47800000
  .equ CODE_WORDS, 1024
  .equ EXCEPTIONS_MAX, 3000
  .equ ENDLESS_TICKS, 187500000        // three seconds
  // A record; programs.ts writes it.
  .equ REC_WORDS, 0
  .equ REC_ENTRIES, 4
  .equ REC_SEED, 8
  .equ REC_SPSR, 16
  .equ REC_FPCR, 20
  .equ REC_TCR, 24
  .equ REC_SCTLR, 32
  .equ REC_TTBR, 40                    // two
  .equ REC_CODE_VA, 56
  .equ REC_LOOPS, 64
  .equ REC_FRAME_BYTES, 68
  .equ REC_INTERVAL, 72
  .equ REC_CHANGES, 96                 // eight of 32 bytes: descriptor, exclusive or, operand of TLBI, which TLBI
  .equ REC_X, 352                      // x0 to x30, SP_EL0, SP_EL1
  .equ REC_V, 624
  .equ REC_TABLES, 1136
  // What the handlers keep.
  .equ ST_RECORD, 0
  .equ ST_LEFT, 8
  .equ ST_EXCEPTIONS, 16
  .equ ST_DIGEST, 24
  .equ ST_STEPS, 32
  .equ ST_SGIS, 40
  .equ ST_INTERVAL, 48
  .equ FR_ELR, 248
  .equ FR_SPSR, 256
  .equ FR_SP, 264

// Loads or stores x2 to x29 at x0.
  .macro general_registers operation
  \operation x2, x3, [x0, #16]
  \operation x4, x5, [x0, #32]
  \operation x6, x7, [x0, #48]
  \operation x8, x9, [x0, #64]
  \operation x10, x11, [x0, #80]
  \operation x12, x13, [x0, #96]
  \operation x14, x15, [x0, #112]
  \operation x16, x17, [x0, #128]
  \operation x18, x19, [x0, #144]
  \operation x20, x21, [x0, #160]
  \operation x22, x23, [x0, #176]
  \operation x24, x25, [x0, #192]
  \operation x26, x27, [x0, #208]
  \operation x28, x29, [x0, #224]
  .endm
// Loads or stores all vector registers from x0 on.
  .macro vector_registers operation
  \operation q0, q1, [x0], #32
  \operation q2, q3, [x0], #32
  \operation q4, q5, [x0], #32
  \operation q6, q7, [x0], #32
  \operation q8, q9, [x0], #32
  \operation q10, q11, [x0], #32
  \operation q12, q13, [x0], #32
  \operation q14, q15, [x0], #32
  \operation q16, q17, [x0], #32
  \operation q18, q19, [x0], #32
  \operation q20, q21, [x0], #32
  \operation q22, q23, [x0], #32
  \operation q24, q25, [x0], #32
  \operation q26, q27, [x0], #32
  \operation q28, q29, [x0], #32
  \operation q30, q31, [x0], #32
  .endm

  .section .text, "ax"
  .global _start
_start:
  msr daifset, #15
  mov x1, #(3 << 20)
  msr cpacr_el1, x1
  ldr x1, =L1
  ldr x2, =0x0060000000000401           // 1 GiB of devices
  ldr x3, =0x0040000040000785           // RAM for EL1 to execute, and again to write: WXN takes nothing from either
  ldr x4, =0x0060000040000705
  stp x2, x3, [x1]
  str x4, [x1, #16]
  msr ttbr1_el1, x1
  ldr x1, =EMPTY
  msr ttbr0_el1, x1
  ldr x1, =0xff00                       // attribute 0 Device-nGnRnE, 1 Normal write-back
  msr mair_el1, x1
  ldr x1, =TCR_START
  msr tcr_el1, x1
  isb
  tlbi vmalle1
  dsb sy
  isb
  adr x2, high
  ldr x3, =HIGH
  orr x2, x2, x3
  adr x1, vectors                       // and an exception on the way
  orr x1, x1, x3
  msr vbar_el1, x1
  // TTBR0 maps nothing and this runs at a low address: the fetch after this MSR faults, and the vector is `first`.
  mov x5, #1
  msr tpidrro_el0, x5
  ldr x1, =SCTLR_START
  msr sctlr_el1, x1
  isb
high:
  msr tpidrro_el0, xzr
  bl start_interrupts
  msr oslar_el1, xzr
  adr x19, blob_at
  ldr x19, [x19]
  ldr x1, =HIGH
  orr x19, x19, x1
  ldp w20, w21, [x19], #8               // programs, verbose
  ldr x0, =VERBOSE
  str w21, [x0]
  add x19, x19, #8
next_program:
  cbz w20, finish
  sub w20, w20, #1
  ldr x0, =STATE
  stp x19, x20, [x0]
  b start_program
program_done:
  ldr x0, =STATE
  ldp x19, x20, [x0]
  ldp w1, w2, [x19, #REC_WORDS]
  add x19, x19, #REC_TABLES
  add x19, x19, x2, lsl #4
  add x19, x19, x1, lsl #2
  add x19, x19, #15
  and x19, x19, #~15
  b next_program

finish:
  adr x0, done_text
  bl puts
power_off:
  ldr w0, =0x84000008
  hvc #0
  b .
blob_at: .quad blob

  .equ TCR_START, 16 | (25 << 16) | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 24) | (1 << 26) | (3 << 28) | (2 << 30) | (2 << 32) | (1 << 36)
  .equ SCTLR_START, (1 << 29) | (1 << 28) | (1 << 23) | (1 << 22) | (1 << 20) | (1 << 12) | (1 << 11) | (1 << 8) | (1 << 7) | (1 << 2) | 1

start_interrupts:
  ldr x0, =GICD
  mov w1, #0x12
  str w1, [x0]
  ldr x0, =GICR
  take_interrupts ((1<<27)|(1<<30)|0xffff)
  ret

start_program:                          // x19: record
  ldr x4, =DATA
  ldr w1, [x19, #REC_ENTRIES]
  add x2, x19, #REC_TABLES
1: ldp x5, x6, [x2], #16
  add x5, x5, x4
  str x6, [x5]
  subs w1, w1, #1
  b.ne 1b
  mov x3, x2                            // the code
  ldr x0, [x19, #REC_SEED]
  ldr x1, =FRAMES
  ldr w2, [x19, #REC_FRAME_BYTES]
  mov w4, #6
  mul w2, w2, w4
1: eor x0, x0, x0, lsl #13
  eor x0, x0, x0, lsr #7
  eor x0, x0, x0, lsl #17
  ror x5, x0, #23
  eor x6, x0, x0, ror #41
  add x7, x5, x6
  stp x0, x5, [x1]
  stp x6, x7, [x1, #16]
  add x1, x1, #32
  subs w2, w2, #32
  b.ne 1b
  ldr w4, =0xd401ffe1                   // SVC #0xfff ends a program: where a page is executed, too
  ldr x1, =FRAMES
  ldr w2, [x19, #REC_FRAME_BYTES]
  mov w5, #6
1: str w4, [x1]
  add x1, x1, x2
  subs w5, w5, #1
  b.ne 1b
  ldr x1, =CODE
  ldr w2, [x19, #REC_WORDS]
  mov w5, #CODE_WORDS
  sub w5, w5, w2
2: ldr w4, [x3], #4
  str w4, [x1], #4
  subs w2, w2, #1
  b.ne 2b
  ldr w4, =0xd401ffe1
3: str w4, [x1], #4
  subs w5, w5, #1
  b.ne 3b
  ldr x1, =CODE
  mov w2, #64
  dsb ish
4: ic ivau, x1
  add x1, x1, #64
  subs w2, w2, #1
  b.ne 4b
  dsb ish
  ldp x1, x2, [x19, #REC_TCR]
  msr tcr_el1, x1
  ldr x1, [x19, #REC_TTBR]
  msr ttbr0_el1, x1
  msr sctlr_el1, x2
  isb
  tlbi vmalle1
  dsb ish
  isb
  ldr x0, =STATE
  stp xzr, xzr, [x0, #ST_EXCEPTIONS]
  stp xzr, xzr, [x0, #ST_STEPS]
  ldr x1, [x19, #REC_INTERVAL]
  str x1, [x0, #ST_INTERVAL]
  cbz x1, 5f
  mrs x2, cntvct_el0
  add x2, x2, x1
  msr cntv_cval_el0, x2
  mov x2, #1
  msr cntv_ctl_el0, x2
5: mrs x2, cntpct_el0
  ldr x1, =ENDLESS_TICKS
  add x2, x2, x1
  msr cntp_cval_el0, x2
  mov x2, #1
  msr cntp_ctl_el0, x2
  ldr x1, [x19, #REC_CODE_VA]
  msr elr_el1, x1
  ldr w1, [x19, #REC_SPSR]
  msr spsr_el1, x1
  ldr w1, [x19, #REC_FPCR]
  msr fpcr, x1
  msr fpsr, xzr
  msr tpidr_el0, xzr
  msr par_el1, xzr
  msr mdscr_el1, xzr
  clrex
  add x0, x19, #REC_V
  vector_registers ldp
  add x0, x19, #REC_X
  ldp x1, x2, [x0, #248]
  msr sp_el0, x1
  mov sp, x2
  general_registers ldp
  ldr x30, [x0, #240]
  ldp x0, x1, [x0]
  eret

  .balign 2048
vectors:
  .irp v, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
  .balign 128
  .if \v == 0 || \v == 4 || \v == 8
  msr tpidr_el1, x0
  ldr x0, =FRAME
  b synchronous
  .elseif \v == 1 || \v == 5 || \v == 9
  msr tpidr_el1, x0
  ldr x0, =FRAME
  b interrupt
  .else
  b panic
  .endif
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

// x0 = frame, whose page begins with it; x0 of the program is in TPIDR_EL1.
  .macro save
  general_registers stp
  mrs x2, tpidr_el1
  stp x2, x1, [x0]
  str x30, [x0, #240]
  mrs x21, elr_el1
  mrs x22, spsr_el1
  mov x1, sp
  stp x21, x22, [x0, #FR_ELR]
  str x1, [x0, #FR_SP]
  ldr x1, =STACK_TOP
  mov sp, x1
  ldr x19, =STATE
  .endm

synchronous:
  mrs x0, tpidrro_el0
  cbnz x0, high                         // the exception of _start
  ldr x0, =FRAME
  save
  mrs x20, esr_el1
  lsr x24, x20, #26
  mov x23, #0
  sub x0, x24, #0x20                    // FAR is written by aborts and PC alignment faults
  cmp x0, #5
  b.hi 1f
  mrs x23, far_el1
1: cmp x24, #0x0e
  b.ne 1f
  bic x22, x22, #(1 << 20)
  bic x22, x22, #(3 << 22)              // illegal state goes away; after an illegal return UAO is unknown, and PAN not
1: ldp x25, x26, [x19, #ST_EXCEPTIONS]  // changed in QEMU 7.2, though SetPSTATEFromSPSR (Arm ARM J1.3) does it
  mov x0, x20
  bl digest
  mov x0, x21
  bl digest
  mov x0, x22
  bl digest
  mov x0, x23
  bl digest
  add x25, x25, #1
  stp x25, x26, [x19, #ST_EXCEPTIONS]
  ldr x0, =EXCEPTIONS_MAX
  cmp x25, x0
  b.hi end_program
  cmp x24, #0x15
  b.eq service
  cmp x24, #0x32
  b.eq stepped
  cmp x24, #0x33
  b.eq stepped
  cmp x24, #0x20
  b.eq end_program
  cmp x24, #0x21
  b.eq end_program
  cmp x24, #0x22
  b.eq end_program
  cmp x24, #0x0e
  b.eq resume
  add x21, x21, #4
resume:                                 // to x21 with the state in x22
  ldr x0, [x19, #ST_STEPS]
  cbz x0, 1f
  orr x22, x22, #(1 << 21)
1: ldr x0, =FRAME
  stp x21, x22, [x0, #FR_ELR]
restore:
  ldr x0, =FRAME
  ldp x1, x2, [x0, #FR_ELR]
  msr elr_el1, x1
  msr spsr_el1, x2
  ldr x1, [x0, #FR_SP]
  mov sp, x1
  general_registers ldp
  ldr x30, [x0, #240]
  ldp x0, x1, [x0]
  eret

stepped:
  ldr x0, [x19, #ST_STEPS]
  sub x0, x0, #1
  str x0, [x19, #ST_STEPS]
  cbnz x0, resume
  msr mdscr_el1, xzr
  isb
  b resume

interrupt:
  save
  mrs x20, S3_0_C12_C12_0              // ICC_IAR1_EL1
  cmp w20, #16
  b.hs 1f
  mov x0, #1
  lsl x0, x0, x20
  ldr x1, [x19, #ST_SGIS]
  orr x1, x1, x0
  str x1, [x19, #ST_SGIS]
  b 3f
1: cmp w20, #27
  b.ne 2f
  mrs x1, cntvct_el0
  ldr x2, [x19, #ST_INTERVAL]
  // A little longer each time: where this takes longer than the interval, the program and the other timer would wait for ever.
  add x2, x2, x2, lsr #4
  add x2, x2, #1
  str x2, [x19, #ST_INTERVAL]
  add x1, x1, x2
  msr cntv_cval_el0, x1
  b 3f
2: cmp w20, #30
  b.ne 4f
  msr cntp_ctl_el0, xzr
  msr S3_0_C12_C12_1, x20
  isb
  b endless
3: msr S3_0_C12_C12_1, x20             // ICC_EOIR1_EL1
4: isb
  b restore

// Services: SVC #0x10 to #0x17 change a descriptor, those from #0x18 the state; x21 is ELR, x22 SPSR.
service:
  and x0, x20, #0xffff
  mov x1, #0xfff
  cmp x0, x1
  b.eq end_program
  sub x0, x0, #0x10
  cmp x0, #15
  b.hi resume
  ldr x9, [x19, #ST_RECORD]
  adr x1, services
  ldr w2, [x1, x0, lsl #2]
  add x1, x1, w2, sxtw
  br x1
services:
  .rept 8
  .word change - services
  .endr
  .word switch_space - services, next_mode - services, toggle_pan - services, toggle_uao - services
  .word next_fp - services, step_some - services, toggle_alignment - services, toggle_wxn - services

change:                                 // break before make, unless there is nothing to break
  add x9, x9, #REC_CHANGES
  add x9, x9, x0, lsl #5
  ldp x1, x2, [x9]
  ldp x3, x4, [x9, #16]
  cbz x1, resume
  ldr x5, =DATA
  add x1, x1, x5
  ldr x6, [x1]
  eor x2, x6, x2
  tbz x6, #0, 1f
  str xzr, [x1]
  dsb ishst
  adr x5, invalidations
  add x5, x5, x4, lsl #3
  blr x5
  dsb ish
1: str x2, [x1]
  dsb ishst
  isb
  b resume
invalidations:
  .irp operation, vae1is, vae1, vaae1is, vaae1, vale1is, vale1, vaale1is, vaale1, aside1is, aside1
  tlbi \operation, x3
  ret
  .endr
  tlbi vmalle1is
  ret
  tlbi vmalle1
  ret
switch_space:
  mrs x1, ttbr0_el1
  ldp x2, x3, [x9, #REC_TTBR]
  cmp x1, x2
  csel x1, x3, x2, eq
  msr ttbr0_el1, x1
  isb
  b resume
next_mode:                              // EL0t, EL1t, EL1h
  and x1, x22, #15
  bic x22, x22, #15
  mov x2, #4
  mov x3, #5
  cmp x1, #0
  csel x2, x2, xzr, eq
  cmp x1, #4
  csel x2, x3, x2, eq
  orr x22, x22, x2
  b resume
toggle_pan:
  eor x22, x22, #(1 << 22)
  b resume
toggle_uao:
  eor x22, x22, #(1 << 23)
  b resume
next_fp:                                // FPEN 3, 0, 1, 2
  mrs x1, cpacr_el1
  add x1, x1, #(1 << 20)
  and x1, x1, #(3 << 20)
  msr cpacr_el1, x1
  isb
  b resume
step_some:
  mov x1, #7
  str x1, [x19, #ST_STEPS]
  mov x1, #((1 << 13) | 1)              // KDE, SS
  msr mdscr_el1, x1
  isb
  bic x22, x22, #(1 << 9)               // D
  b resume
toggle_alignment:
  mrs x1, sctlr_el1
  eor x1, x1, #2
  msr sctlr_el1, x1
  isb
  b resume
toggle_wxn:
  mrs x1, sctlr_el1
  eor x1, x1, #(1 << 19)
  msr sctlr_el1, x1
  isb
  tlbi vmalle1
  dsb ish
  isb
  b resume

// x26 = digest of x26 and x0; prints x0 too when verbose. Changes x1 to x7.
digest:
  eor x26, x26, x0
  ldr x1, =0x9e3779b97f4a7c15
  mul x26, x26, x1
  eor x26, x26, x26, lsr #29
  ldr x1, =VERBOSE
  ldr w1, [x1]
  cbz w1, 1f
  b put_hex
1: ret

// Digests x28 words at x27.
digest_words:
  mov x29, x30
  ldr x5, =0x9e3779b97f4a7c15
  ldr x1, =VERBOSE
  ldr w1, [x1]
  cbnz w1, 1f
  tst x28, #3
  b.ne 1f
4: ldp x0, x2, [x27], #16               // most of a program's work is to fill and to digest its frames
  ldp x3, x4, [x27], #16
  eor x26, x26, x0
  madd x26, x26, x5, x2
  eor x26, x26, x26, lsr #29
  eor x26, x26, x3
  madd x26, x26, x5, x4
  eor x26, x26, x26, lsr #29
  subs x28, x28, #4
  b.ne 4b
  ret x29
1: ldr x0, [x27], #8
  cbnz w1, 2f
  eor x26, x26, x0
  mul x26, x26, x5
  eor x26, x26, x26, lsr #29
  b 3f
2: bl digest
  mov w1, #1
3: subs x28, x28, #1
  b.ne 1b
  ret x29

end_program:
  // Interrupts that are still on their way come now.
  msr cntv_ctl_el0, xzr
  msr cntp_ctl_el0, xzr
  msr mdscr_el1, xzr
  mov x1, #(3 << 20)
  msr cpacr_el1, x1
  isb
  bl take_interrupts
  ldr x0, =VECTOR_FRAME
  vector_registers stp
  ldp x25, x26, [x19, #ST_EXCEPTIONS]
  mov x0, x25
  bl digest
  ldr x0, [x19, #ST_SGIS]
  bl digest
  ldr x27, =FRAME_COPY
  mov x28, #31
  bl digest_words
  ldr x0, [x27, #(FR_SP - FR_ELR)]
  bl digest
  mrs x0, sp_el0
  bl digest
  mrs x0, fpcr
  bl digest
  mrs x0, fpsr
  bl digest
  mrs x0, tpidr_el0
  bl digest
  ldr x27, =VECTOR_FRAME
  mov x28, #64
  bl digest_words
  ldr x27, [x19, #ST_RECORD]
  ldr w28, [x27, #REC_FRAME_BYTES]
  ldr x27, =FRAMES
  mov w0, #6
  mul w28, w28, w0
  lsr w28, w28, #3
  bl digest_words
  ldr x0, =VERBOSE
  ldr w0, [x0]
  cbz w0, 1f
  adr x0, digest_text
  bl puts
1: mov x0, x26
  bl put_hex
clean:
  ldr x2, [x19, #ST_RECORD]
  ldr w1, [x2, #REC_ENTRIES]
  add x2, x2, #REC_TABLES
  ldr x4, =DATA
1: ldr x5, [x2], #16
  add x5, x5, x4
  str xzr, [x5]
  subs w1, w1, #1
  b.ne 1b
  b program_done
// Copies the frame away and takes what is pending (an interrupt overwrites it).
take_interrupts:
  ldr x0, =FRAME
  ldr x1, =FRAME_COPY
  mov w2, #17
1: ldp x3, x4, [x0], #16
  stp x3, x4, [x1], #16
  subs w2, w2, #1
  b.ne 1b
  msr daifclr, #2
  isb
  .rept 8
  nop
  .endr
  msr daifset, #2
  isb
  ret
endless:
  msr cntv_ctl_el0, xzr
  msr mdscr_el1, xzr
  mov x1, #(3 << 20)
  msr cpacr_el1, x1
  isb
  bl take_interrupts
  adr x0, endless_text
  bl puts
  b clean

// Prints x0 in hexadecimal and a line end. Changes x1 to x5.
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
digest_text: .asciz "digest "
endless_text: .asciz "endless\n"
  .balign 8
  .ltorg

  .section .rodata, "a"
  .balign 16
blob:
  .incbin "programs.bin"

