/* Each program prints lines that start with its name; the text is the result, the same wherever the image runs. */
#ifndef PROGRAMS_H
#define PROGRAMS_H
#include "guest.h"
void core_mix(void), compressor(void), json(void), big_numbers(void), sorting(void), double_math(void), neon(void), interpreter(void);
static inline u32 next(u32 *state) { return *state = *state * 1664525u + 1013904223u; }
static inline u32 fold(u32 hash, u32 value) { return (hash << 5 | hash >> 27) * 31u ^ value; }
#endif
