#include "programs.h"

void guest_main(void) {
  core_mix();
  compressor();
  json();
  big_numbers();
  sorting();
  double_math();
  neon();
  interpreter();
  print("programs done\n");
}
