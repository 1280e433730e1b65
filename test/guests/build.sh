#!/bin/sh
# Builds the guest programs into test/guests/bin/ (or the folder given). The output depends on sources and compiler only:
# no build id, no paths, no time. Without the cross compiler it says so and leaves the committed images alone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/bin}
CC=${GUEST_CC:-aarch64-linux-gnu-gcc}
STRIP=${GUEST_STRIP:-aarch64-linux-gnu-strip}
if ! command -v "$CC" >/dev/null 2>&1; then
  echo "guests: skipped ($CC is not installed; the committed images in test/guests/bin stay as they are)"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
out=$(cd "$out" && pwd)
"$CC" --version | head -n 1 >"$out/compiler.txt"
cd "$here"
BASE="-ffreestanding -nostdlib -fno-pic -fno-pie -fno-stack-protector -fno-builtin -fno-asynchronous-unwind-tables -march=armv8-a -mno-outline-atomics -Wall -Wextra -Werror -Iruntime -ffile-prefix-map=$here=."
GENERAL="-mgeneral-regs-only -mstrict-align"

# compile SOURCE OBJECT FLAGS...
compile() {
  source=$1; object=$2; shift 2
  $CC $BASE "$@" -c "$source" -o "$work/$object"
}
# link NAME OBJECT...
link() {
  name=$1; shift
  (cd "$work" && $CC -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments -T "$here/runtime/link.ld" -o "$name" "$@" -lgcc)
  $STRIP --strip-all -R .comment "$work/$name" -o "$out/$name"
  echo "guests: $name $(wc -c <"$out/$name") bytes"
}

RUNTIME=
for s in start.S mmu.c console.c memory.c platform.c gic.c; do
  compile "runtime/$s" "rt-$s.o" -O2 -fno-tree-loop-distribute-patterns $GENERAL
  RUNTIME="$RUNTIME rt-$s.o"
done

BENCH=
bench() {
  for s in $1; do
    compile "bench/$s" "bench-$s.o" $2
    BENCH="$BENCH bench-$s.o"
  done
}
bench "main.c system.c cold.c smp.c" "-O2 $GENERAL"
bench "system-asm.S string.S" ""
bench "integer.c fp.c crypto.c" "-O2 -fno-tree-vectorize"
bench "simd.c" "-O3"
link bench.elf $RUNTIME $BENCH

SUITE=
for path in suite/*.c suite/*.S; do
  s=$(basename "$path")
  compile "$path" "suite-$s.o" -O2 $GENERAL
  SUITE="$SUITE suite-$s.o"
done
link suite.elf $RUNTIME $SUITE

# Linux programs: their own addresses, no runtime of ours.
for name in disk net vsock; do
  compile "$name/$name.c" "$name.o" -O2 -fno-tree-loop-distribute-patterns
  (cd "$work" && $CC -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -o $name.elf $name.o)
  $STRIP --strip-all -R .comment "$work/$name.elf" -o "$out/$name.elf"
  echo "guests: $name.elf $(wc -c <"$out/$name.elf") bytes"
done

compile "lateness/main.c" "lateness-main.o" -O2 $GENERAL
link lateness.elf $RUNTIME lateness-main.o

compile "gic/main.c" "gic-main.o" -O2 $GENERAL
link gic.elf $RUNTIME gic-main.o

compile "interrupts/main.c" "interrupts-main.o" -O2 $GENERAL
compile "interrupts/loops.S" "interrupts-loops.o"
link interrupts.elf $RUNTIME interrupts-main.o interrupts-loops.o

GUNYAH=
for path in gunyah/*.c; do
  s=$(basename "$path")
  compile "$path" "gunyah-$s.o" -O2 $GENERAL
  GUNYAH="$GUNYAH gunyah-$s.o"
done
link gunyah.elf $RUNTIME $GUNYAH

compile "assembly/main.c" "assembly-main.o" -O2 $GENERAL
link assembly.elf $RUNTIME gunyah-calls.c.o gunyah-tree.c.o gunyah-proxied.c.o assembly-main.o

compile "msgq/main.c" "msgq-main.o" -O2 $GENERAL
link msgq.elf $RUNTIME gunyah-calls.c.o gunyah-tree.c.o msgq-main.o

compile "links/main.c" "links-main.o" -O2 $GENERAL
link links.elf $RUNTIME gunyah-calls.c.o gunyah-tree.c.o links-main.o

# The embedded lab's guest ships with the product: with the committed images its image goes to cli/lab/guests.
LAB="gunyah-calls.c.o gunyah-rm.c.o gunyah-tree.c.o"
for path in ../../cli/lab/guests/*.c; do
  s=$(basename "$path")
  compile "$path" "lab-$s.o" -O2 $GENERAL -ffile-prefix-map="$here/../../cli/lab/guests"=.
  LAB="$LAB lab-$s.o"
done
link lab.elf $RUNTIME $LAB
if [ "$out" = "$here/bin" ]; then mv "$out/lab.elf" "$here/../../cli/lab/guests/lab.elf"; fi

for level in 0 1 2 3; do
  PROGRAMS=
  for path in programs/*.c; do
    s=$(basename "$path")
    compile "$path" "prog$level-$s.o" "-O$level"
    PROGRAMS="$PROGRAMS prog$level-$s.o"
  done
  link "programs-O$level.elf" $RUNTIME $PROGRAMS
done
