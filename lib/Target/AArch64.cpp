// aarch64: NEON machines; the default is generic armv8-a.
#include "lib/Target/Target.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;
using namespace dlc;

extern "C" {
void LLVMInitializeAArch64TargetInfo();
void LLVMInitializeAArch64Target();
void LLVMInitializeAArch64TargetMC();
void LLVMInitializeAArch64AsmPrinter();
void LLVMInitializeAArch64AsmParser();
}

static void initialize() {
  LLVMInitializeAArch64TargetInfo();
  LLVMInitializeAArch64Target();
  LLVMInitializeAArch64TargetMC();
  LLVMInitializeAArch64AsmPrinter();
  LLVMInitializeAArch64AsmParser();
}

/// From the makers' reference manuals; of caches that cores share, a share.
static int64_t findSecondCache(llvm::StringRef cpu) {
  constexpr int64_t kKilo = 1024;
  return llvm::StringSwitch<int64_t>(cpu)
      .Cases({"cortex-a34", "cortex-a35", "cortex-a53", "cortex-a55",
              "cortex-a57", "cortex-a72", "cortex-a73"},
             256 * kKilo)
      .Cases({"cortex-a75", "cortex-a76", "cortex-a76ae", "cortex-a77",
              "cortex-a78", "cortex-a78ae", "cortex-a510", "cortex-a520"},
             512 * kKilo)
      .Cases({"neoverse-v2", "neoverse-v3", "grace"}, 2048 * kKilo)
      .Cases({"apple-m1", "apple-m2", "apple-m3", "apple-m4"}, 3072 * kKilo)
      .Default(1024 * kKilo);
}

static VectorUnit vectorUnit(const TargetSpec &spec) {
  VectorUnit unit;
  unit.l2Bytes = findSecondCache(spec.cpu);
  unit.bytes = 16;
  unit.registers = 32;
  unit.fma = true;
  unit.byElement = true;
  unit.fp16 = spec.hasFeature("fullfp16");
  unit.bf16 = spec.hasFeature("bf16");
  unit.lookup = "tbl";
  if (spec.hasFeature("dotprod")) {
    unit.dot = spec.hasFeature("i8mm") ? DotProduct::I8mm : DotProduct::SDot;
    unit.dotBytes = 16;
  }
  return unit;
}

// {16 for AT_HWCAP or 26 for AT_HWCAP2, bit}, from Linux's
// Documentation/arch/arm64/elf_hwcaps.rst.
enum : int32_t { Hwcap = 16, Hwcap2 = 26 };
static const CpuNeed needs[] = {
    {"aes", {Hwcap, 3, 0, 0}},        {"crc", {Hwcap, 7, 0, 0}},
    {"lse", {Hwcap, 8, 0, 0}},        {"fullfp16", {Hwcap, 10, 0, 0}},
    {"rdm", {Hwcap, 12, 0, 0}},       {"jsconv", {Hwcap, 13, 0, 0}},
    {"complxnum", {Hwcap, 14, 0, 0}}, {"rcpc", {Hwcap, 15, 0, 0}},
    {"sha3", {Hwcap, 17, 0, 0}},      {"dotprod", {Hwcap, 20, 0, 0}},
    {"sve", {Hwcap, 22, 0, 0}},       {"fp16fml", {Hwcap, 23, 0, 0}},
    {"rcpc-immo", {Hwcap, 26, 0, 0}}, {"pauth", {Hwcap, 30, 0, 0}},
    {"sve2", {Hwcap2, 1, 0, 0}},      {"fptoint", {Hwcap2, 8, 0, 0}},
    {"i8mm", {Hwcap2, 13, 0, 0}},     {"bf16", {Hwcap2, 14, 0, 0}},
    {"sme", {Hwcap2, 23, 0, 0}},
};

static const StringRef aliases[] = {"arm64", "ARM64"};
static const Triple::ArchType archs[] = {Triple::aarch64};
static const TargetArch arch = {
    /*name=*/"aarch64",
    aliases,
    archs,
    /*description=*/"64-bit Arm with NEON",
    /*triple=*/"aarch64-unknown-linux-gnu",
    /*cpu=*/"generic",
    /*features=*/"+v8a,+neon",
    /*abi=*/"",
    /*floatFeature=*/"fp-armv8",
    needs,
    /*needsLinux=*/true,
    /*signExtendsInts=*/false,
    /*hasLargeSections=*/false,
    /*maxImageLog2=*/32,
    vectorUnit,
    initialize,
};
static const TargetRegistration registration(arch);
