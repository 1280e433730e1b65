/* A small stack machine running a prime counter: indirect calls through a table and a computed switch. */
#include "programs.h"

enum op { PUSH, ADD, SUBTRACT, MULTIPLY, MODULO, LESS, JUMP, JUMP_ZERO, LOAD, STORE, HALT };
struct instruction {
  enum op op;
  i64 argument;
};
static i64 stack[32], cells[8];
static int top;

static i64 add(i64 x, i64 y) { return x + y; }
static i64 subtract(i64 x, i64 y) { return x - y; }
static i64 multiply(i64 x, i64 y) { return x * y; }
static i64 modulo(i64 x, i64 y) { return x % y; }
static i64 less(i64 x, i64 y) { return x < y; }
static i64 (*const binary[])(i64, i64) = {0, add, subtract, multiply, modulo, less};

static u64 run(const struct instruction *code) {
  u64 executed = 0;
  for (const struct instruction *pc = code;; executed++) {
    struct instruction i = *pc++;
    switch (i.op) {
      case PUSH: stack[top++] = i.argument; break;
      case LOAD: stack[top++] = cells[i.argument]; break;
      case STORE: cells[i.argument] = stack[--top]; break;
      case JUMP: pc = code + i.argument; break;
      case JUMP_ZERO: if (stack[--top] == 0) pc = code + i.argument; break;
      case HALT: return executed;
      default: top--; stack[top - 1] = binary[i.op](stack[top - 1], stack[top]);
    }
  }
}

void interpreter(void) {
  /* cell 0: candidate, 1: divisor, 2: count */
  static const struct instruction primes[] = {
    {PUSH, 2}, {STORE, 0},                                                     /* 0 */
    {LOAD, 0}, {PUSH, 1500}, {LESS, 0}, {JUMP_ZERO, 33},                       /* 2: while (candidate < 1500) */
    {PUSH, 2}, {STORE, 1},                                                     /* 6 */
    {LOAD, 0}, {LOAD, 1}, {LOAD, 1}, {MULTIPLY, 0}, {LESS, 0}, {JUMP_ZERO, 19}, /* 8: candidate < divisor^2: a prime */
    {LOAD, 2}, {PUSH, 1}, {ADD, 0}, {STORE, 2}, {JUMP, 28},                    /* 14: count it */
    {LOAD, 0}, {LOAD, 1}, {MODULO, 0}, {JUMP_ZERO, 28},                        /* 19: does it divide? */
    {LOAD, 1}, {PUSH, 1}, {ADD, 0}, {STORE, 1}, {JUMP, 8},                     /* 23: next divisor */
    {LOAD, 0}, {PUSH, 1}, {ADD, 0}, {STORE, 0}, {JUMP, 2},                     /* 28: next candidate */
    {HALT, 0},                                                                 /* 33 */
  };
  top = 0;
  u64 executed = run(primes);
  print("interpreter %lu instructions, %ld primes, stack %d\n", executed, cells[2], top);
}
