/* Advanced SIMD by intrinsics, over widths and kinds: arithmetic, saturation, widening, permutes, tables, floats. */
#include <arm_neon.h>
#include "programs.h"

enum { N = 512 };
static u8 a[N] ALIGNED(16), b[N] ALIGNED(16), out[N * 4] ALIGNED(16);

static u32 hash_out(size_t n) {
  u32 h = 0;
  for (size_t i = 0; i < n; i++) h = fold(h, out[i]);
  return h;
}

static void bytes(void) {
  for (int i = 0; i < N; i += 16) {
    uint8x16_t x = vld1q_u8(a + i), y = vld1q_u8(b + i);
    uint8x16_t r = vqaddq_u8(vabdq_u8(x, y), vrhaddq_u8(x, vminq_u8(y, vmvnq_u8(x))));
    r = veorq_u8(r, vreinterpretq_u8_s8(vqsubq_s8(vreinterpretq_s8_u8(x), vreinterpretq_s8_u8(y))));
    r = vbslq_u8(vcgtq_u8(x, y), r, vcntq_u8(r));
    vst1q_u8(out + i, vaddq_u8(r, vrev64q_u8(vmulq_u8(x, y))));
  }
  print("vectors bytes %08x\n", hash_out(N));
}

static void halves(void) {
  for (int i = 0; i < N; i += 16) {
    int16x8_t x = vreinterpretq_s16_u8(vld1q_u8(a + i)), y = vreinterpretq_s16_u8(vld1q_u8(b + i));
    int16x8_t r = vqrdmulhq_s16(x, y);
    r = vmlaq_s16(r, vshrq_n_s16(x, 3), vqshlq_n_s16(y, 2));
    int32x4_t wide = vmull_s16(vget_low_s16(x), vget_high_s16(y));
    wide = vqdmlal_s16(wide, vget_high_s16(x), vget_low_s16(r));
    int16x4_t narrow = vqrshrn_n_s32(wide, 7);
    vst1q_s16((int16_t *)(void *)(out + i), vcombine_s16(narrow, vget_low_s16(vpaddq_s16(r, vabsq_s16(y)))));
  }
  print("vectors halves %08x\n", hash_out(N));
}

static void words(void) {
  u64 sum = 0;
  for (int i = 0; i < N; i += 16) {
    uint32x4_t x = vreinterpretq_u32_u8(vld1q_u8(a + i)), y = vreinterpretq_u32_u8(vld1q_u8(b + i));
    uint64x2_t wide = vmull_u32(vget_low_u32(x), vget_low_u32(y));
    wide = vmlal_u32(wide, vget_high_u32(x), vget_high_u32(y));
    wide = vsraq_n_u64(wide, vpaddlq_u32(x), 5);
    sum += vaddvq_u64(wide) + vmaxvq_u32(x) - vminvq_u32(y) + vaddlvq_u32(x);
    uint32x4x2_t zip = vzipq_u32(x, y), unzip = vuzpq_u32(x, y), transpose = vtrnq_u32(x, y);
    uint32x4_t r = veorq_u32(veorq_u32(zip.val[0], unzip.val[1]), vextq_u32(transpose.val[0], transpose.val[1], 3));
    r = vsliq_n_u32(r, vclzq_u32(x), 9);
    vst1q_u32((u32 *)(void *)(out + i), vrshlq_u32(r, vreinterpretq_s32_u32(vandq_u32(y, vdupq_n_u32(7)))));
  }
  print("vectors words %08x sum %016lx\n", hash_out(N), sum);
}

static void structures(void) {
  for (int i = 0; i + 64 <= N; i += 64) {
    uint8x16x3_t three = vld3q_u8(a + i);
    uint8x16x4_t four = vld4q_u8(b + i);
    uint8x16x4_t r = {{vaddq_u8(three.val[0], four.val[3]), veorq_u8(three.val[1], four.val[2]), vsubq_u8(three.val[2], four.val[1]), four.val[0]}};
    vst4q_u8(out + i, r);
  }
  print("vectors structures %08x\n", hash_out(N));
  for (int i = 0; i < N; i += 16) {
    uint8x16x2_t table = {{vld1q_u8(a + i), vld1q_u8(b + i)}};
    uint8x16_t index = vandq_u8(vld1q_u8(a + (i * 5 & (N - 16))), vdupq_n_u8(0x2f));
    vst1q_u8(out + i, vqtbx2q_u8(vqtbl1q_u8(table.val[1], index), table, index));
  }
  print("vectors tables %08x\n", hash_out(N));
}

static void floats(void) {
  float32x4_t sum = vdupq_n_f32(0);
  float64x2_t total = vdupq_n_f64(1);
  for (int i = 0; i < N; i += 16) {
    float32x4_t x = vcvtq_f32_s32(vreinterpretq_s32_u8(vld1q_u8(a + i))), y = vcvtq_n_f32_u32(vreinterpretq_u32_u8(vld1q_u8(b + i)), 16);
    sum = vfmaq_f32(sum, x, vrecpeq_f32(vaddq_f32(y, vdupq_n_f32(1))));
    float32x4_t step = vrecpsq_f32(y, vrecpeq_f32(vmaxq_f32(y, vdupq_n_f32(0.5f))));
    float32x4_t root = vmulq_f32(vrsqrteq_f32(vabsq_f32(x)), vsqrtq_f32(vabsq_f32(y)));
    total = vfmsq_f64(total, vcvt_f64_f32(vget_low_f32(root)), vcvt_high_f64_f32(step));
    int32x4_t rounded = vcvtnq_s32_f32(vdivq_f32(x, vdupq_n_f32(65536.5f)));
    rounded = veorq_s32(rounded, vcvtmq_s32_f32(root));
    rounded = vaddq_s32(rounded, vreinterpretq_s32_u32(vcagtq_f32(x, y)));
    vst1q_s32((i32 *)(void *)(out + i), veorq_s32(rounded, vreinterpretq_s32_f32(vrndiq_f32(root))));
  }
  vst1q_f32((float *)(void *)(out + N), vaddq_f32(sum, vmaxnmq_f32(sum, vdupq_n_f32(1))));
  vst1q_f64((double *)(void *)(out + N + 16), total);
  print("vectors floats %08x\n", hash_out(N + 32));
}

void neon(void) {
  u32 seed = 4711;
  for (int i = 0; i < N; i++) a[i] = (u8)(next(&seed) >> 24), b[i] = (u8)(next(&seed) >> 24);
  bytes();
  halves();
  words();
  structures();
  floats();
}
