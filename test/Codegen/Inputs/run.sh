# run.sh FOLDER PROGRAM.c "MODELS" TARGET [WRAPPER] [DLC-FLAGS] [QEMU-FLAGS]
#
# Compiles models and a C program that includes their headers for a target
# (nothing: this machine) and runs it. A model that begins with a line
# "// --from=tensor" is IR of that phase.
set -e
folder=$1 program=$2 models=$3 target=$4 wrapper=$5 flags=$6 qemu_flags=$7
here=$(dirname "$0")
case "$target" in
  aarch64) cc=aarch64-linux-gnu-gcc runner="qemu-aarch64-static $qemu_flags -L /usr/aarch64-linux-gnu" ;;
  armv7) cc=arm-linux-gnueabihf-gcc runner="qemu-arm-static $qemu_flags -L /usr/arm-linux-gnueabihf" ;;
  riscv64) cc=riscv64-linux-gnu-gcc runner="qemu-riscv64-static $qemu_flags -L /usr/riscv64-linux-gnu" ;;
  *) cc=cc runner= ;;
esac
if [ "$wrapper" = valgrind ]; then
  runner=
  # Not everyone has it; the same program runs without.
  if command -v valgrind > /dev/null; then
    runner="valgrind -q --error-exitcode=9 --leak-check=full"
  fi
fi
mkdir -p "$folder"
objects=
for model in $models; do
  phase=$(sed -n '1s|^// \(--from=[a-z]*\)$|\1|p' "$here/$model.mlir")
  dlc "$here/$model.mlir" $phase ${target:+-target=$target} $flags -o "$folder/$model.o"
  objects="$objects $folder/$model.o"
done
$cc -std=c99 -Wall -Wextra -pedantic -Werror -I "$folder" "$here/$program" \
  $objects -o "$folder/program" -lm -lpthread
$runner "$folder/program"
