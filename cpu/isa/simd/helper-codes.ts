/** Integer SIMD operations done outside generated code: lane by lane, because WebAssembly has nothing near them. */

/** Codes of the `simd` helper; the unsigned form of each is one higher. */
export const SIMD_HELPER = { sqshl: 0, srshl: 2, sqrshl: 4 } as const;
