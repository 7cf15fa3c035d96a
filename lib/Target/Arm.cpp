// armv7: 32-bit Arm with NEON and VFPv4, hard-float calls.
#include "lib/Target/Target.h"
#include "llvm/ADT/StringSwitch.h"

using namespace llvm;
using namespace dlc;

extern "C" {
void LLVMInitializeARMTargetInfo();
void LLVMInitializeARMTarget();
void LLVMInitializeARMTargetMC();
void LLVMInitializeARMAsmPrinter();
void LLVMInitializeARMAsmParser();
}

static void initialize() {
  LLVMInitializeARMTargetInfo();
  LLVMInitializeARMTarget();
  LLVMInitializeARMTargetMC();
  LLVMInitializeARMAsmPrinter();
  LLVMInitializeARMAsmParser();
}

/// Of caches that four cores share, a share.
static int64_t findSecondCache(llvm::StringRef cpu) {
  constexpr int64_t kKilo = 1024;
  return llvm::StringSwitch<int64_t>(cpu)
      .Cases({"cortex-a5", "cortex-a7", "cortex-a8", "cortex-a9", "cortex-a15",
              "cortex-a17", "cortex-a32", "cortex-a53", "cortex-a72"},
             256 * kKilo)
      .Default(1024 * kKilo);
}

static VectorUnit vectorUnit(const TargetSpec &spec) {
  VectorUnit unit;
  unit.l2Bytes = findSecondCache(spec.cpu);
  unit.bytes = spec.hasFeature("neon") ? 16 : 8;
  unit.registers = spec.hasFeature("d32") ? 16 : 8;
  unit.fma = spec.hasFeature("vfp4");
  unit.byElement = true;
  unit.fp16 = spec.hasFeature("fullfp16");
  // LLVM 22 does not come to an end with vectors of bfloat16 here: no bf16.
  if (spec.hasFeature("dotprod")) {
    unit.dot = spec.hasFeature("i8mm") ? DotProduct::I8mm : DotProduct::SDot;
    unit.dotBytes = 16;
  }
  return unit;
}

// {16 for AT_HWCAP or 26 for AT_HWCAP2, bit}, from Linux's
// arch/arm/include/uapi/asm/hwcap.h.
enum : int32_t { Hwcap = 16, Hwcap2 = 26 };
static const CpuNeed needs[] = {
    {"neon", {Hwcap, 12, 0, 0}},      {"vfp4", {Hwcap, 16, 0, 0}},
    {"hwdiv-arm", {Hwcap, 17, 0, 0}}, {"d32", {Hwcap, 19, 0, 0}},
    {"fullfp16", {Hwcap, 23, 0, 0}},  {"dotprod", {Hwcap, 24, 0, 0}},
    {"fp16fml", {Hwcap, 25, 0, 0}},   {"bf16", {Hwcap, 26, 0, 0}},
    {"i8mm", {Hwcap, 27, 0, 0}},      {"aes", {Hwcap2, 0, 0, 0}},
    {"crc", {Hwcap2, 4, 0, 0}},
};

static const StringRef aliases[] = {"arm", "armv7l", "armv7a", "armv7-a",
                                    "armhf"};
static const Triple::ArchType archs[] = {Triple::arm};
static const TargetArch arch = {
    /*name=*/"armv7",
    aliases,
    archs,
    /*description=*/"32-bit Arm with NEON and VFPv4, hard float",
    /*triple=*/"armv7-unknown-linux-gnueabihf",
    /*cpu=*/"generic",
    /*features=*/"+v7,+neon,+vfp4,+fp16",
    /*abi=*/"",
    /*floatFeature=*/"vfp2",
    needs,
    /*needsLinux=*/true,
    /*signExtendsInts=*/false,
    /*hasLargeSections=*/false,
    /*maxImageLog2=*/31,
    vectorUnit,
    initialize,
    /*runtime=*/{},
    /*grants=*/nullptr,
    // The other scheduler, LLVM's default here, puts the loads of a tile first,
    // and more of them than there are registers.
    /*tuning=*/"+use-misched",
};
static const TargetRegistration registration(arch);
