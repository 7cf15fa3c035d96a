// riscv64: rv64gc, with the vector extension when asked for.
#include "lib/Target/Target.h"

using namespace llvm;
using namespace dlc;

extern "C" {
void LLVMInitializeRISCVTargetInfo();
void LLVMInitializeRISCVTarget();
void LLVMInitializeRISCVTargetMC();
void LLVMInitializeRISCVAsmPrinter();
void LLVMInitializeRISCVAsmParser();
}

static void initialize() {
  LLVMInitializeRISCVTargetInfo();
  LLVMInitializeRISCVTarget();
  LLVMInitializeRISCVTargetMC();
  LLVMInitializeRISCVAsmPrinter();
  LLVMInitializeRISCVAsmParser();
}

static VectorUnit vectorUnit(const TargetSpec &spec) {
  VectorUnit unit;
  unit.fma = true;
  unit.fp16 = spec.hasFeature("zfh");
  if (!spec.hasFeature("v")) {
    // Scalar code: one float a register, so that nothing is split and spilled.
    unit.bytes = 4;
    unit.registers = 32;
    return unit;
  }
  unit.registers = 32;
  for (unsigned bits : {1024u, 512u, 256u})
    if (spec.hasFeature(("zvl" + llvm::Twine(bits) + "b").str())) {
      unit.bytes = bits / 8;
      break;
    }
  return unit;
}

// {16 for AT_HWCAP, bit}: the single-letter extensions, which is what the
// auxiliary vector tells. Longer names cannot be checked that way.
static const CpuNeed needs[] = {
    {"v", {16, 'v' - 'a', 0, 0}},
};

static const StringRef aliases[] = {"riscv", "rv64gc"};
static const Triple::ArchType archs[] = {Triple::riscv64};
static const TargetArch arch = {
    /*name=*/"riscv64",
    aliases,
    archs,
    /*description=*/"64-bit RISC-V, rv64gc with the lp64d calls",
    /*triple=*/"riscv64-unknown-linux-gnu",
    /*cpu=*/"generic-rv64",
    /*features=*/"+m,+a,+f,+d,+c",
    /*abi=*/"lp64d",
    /*floatFeature=*/"d",
    needs,
    /*needsLinux=*/true,
    /*signExtendsInts=*/true,
    /*hasLargeSections=*/false,
    /*maxImageLog2=*/31,
    vectorUnit,
    initialize,
};
static const TargetRegistration registration(arch);
