// x86-64: AVX2 and AVX-512 machines; the default is x86-64-v3.
#include "lib/Target/Target.h"
#include "llvm/ADT/StringSwitch.h"
#if defined(__linux__) && defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

using namespace llvm;
using namespace dlc;

extern "C" {
void LLVMInitializeX86TargetInfo();
void LLVMInitializeX86Target();
void LLVMInitializeX86TargetMC();
void LLVMInitializeX86AsmPrinter();
void LLVMInitializeX86AsmParser();
}

static void initialize() {
  LLVMInitializeX86TargetInfo();
  LLVMInitializeX86Target();
  LLVMInitializeX86TargetMC();
  LLVMInitializeX86AsmPrinter();
  LLVMInitializeX86AsmParser();
}

/// From the makers' optimisation manuals.
static int64_t findSecondCache(llvm::StringRef cpu) {
  constexpr int64_t kKilo = 1024;
  return llvm::StringSwitch<int64_t>(cpu)
      .Cases({"nehalem", "westmere", "sandybridge", "ivybridge", "haswell",
              "broadwell", "skylake"},
             256 * kKilo)
      .Cases({"znver1", "znver2", "znver3", "icelake-client", "rocketlake",
              "cannonlake"},
             512 * kKilo)
      .Cases({"tigerlake", "icelake-server", "alderlake"}, 1280 * kKilo)
      .Cases({"sapphirerapids", "emeraldrapids", "graniterapids",
              "graniterapids-d", "raptorlake", "meteorlake"},
             2048 * kKilo)
      .Default(1024 * kKilo);
}

static VectorUnit vectorUnit(const TargetSpec &spec) {
  VectorUnit unit;
  unit.l2Bytes = findSecondCache(spec.cpu);
  if (spec.hasFeature("avx512f"))
    unit.bytes = 64;
  else if (spec.hasFeature("avx"))
    unit.bytes = 32;
  unit.registers = unit.bytes == 64 ? 32 : 16;
  unit.fma = spec.hasFeature("fma") || unit.bytes == 64;
  unit.fp16 = spec.hasFeature("avx512fp16");
  unit.bf16 = spec.hasFeature("avx512bf16");
  if (spec.hasFeature("avx512vnni") || spec.hasFeature("avxvnni")) {
    unit.dot = DotProduct::Vnni;
    unit.dotBytes = spec.hasFeature("avx512vnni") ? unit.bytes : 32;
  } else {
    unit.dot = DotProduct::Madd;
    unit.dotBytes = unit.bytes == 64 && !spec.hasFeature("avx512bw") ? 32
                    : unit.bytes == 32 && !spec.hasFeature("avx2") ? 16
                                                                   : unit.bytes;
  }
  // The runtime asks Linux for their registers. Epilogues need masks.
  if (llvm::Triple(spec.triple).isOSLinux() && unit.bytes == 64 &&
      spec.hasFeature("avx512bw") && spec.hasFeature("amx-tile")) {
    unit.byteTiles = spec.hasFeature("amx-int8");
    unit.pairTiles = unit.bf16 && spec.hasFeature("amx-bf16");
  }
  if (spec.hasFeature("avx512vbmi"))
    unit.lookup = "vpermb";
  else if (spec.hasFeature("avx512bw"))
    unit.lookup = "vpermw";
  else if (spec.hasFeature("avx2") ||
           (unit.bytes == 16 && spec.hasFeature("ssse3")))
    unit.lookup = "vpshufb";
  return unit;
}

// Where CPUID tells of a feature: {leaf | subleaf << 8, register (0: eax ... 3:
// edx), bit, state}, state being what the system must save in XCR0: 1 for AVX,
// 2 for AVX-512, 3 for AMX. Leaves above 0x80000000 are written with 0x80 in
// bits 16 to 23. Only features that the code generator uses unasked.
enum : int32_t {
  Leaf1 = 1,
  Leaf7 = 7,
  Leaf7_1 = 7 | 1 << 8,
  Ext1 = 1 | 0x80 << 16,
  A = 0,
  B = 1,
  C = 2,
  D = 3,
  Any = 0,
  Avx = 1,
  Avx512 = 2,
  Amx = 3
};
static const CpuNeed needs[] = {
    {"sse3", {Leaf1, C, 0, Any}},
    {"pclmul", {Leaf1, C, 1, Any}},
    {"ssse3", {Leaf1, C, 9, Any}},
    {"fma", {Leaf1, C, 12, Avx}},
    {"cx16", {Leaf1, C, 13, Any}},
    {"sse4.1", {Leaf1, C, 19, Any}},
    {"sse4.2", {Leaf1, C, 20, Any}},
    {"movbe", {Leaf1, C, 22, Any}},
    {"popcnt", {Leaf1, C, 23, Any}},
    {"aes", {Leaf1, C, 25, Any}},
    {"avx", {Leaf1, C, 28, Avx}},
    {"f16c", {Leaf1, C, 29, Avx}},
    {"lzcnt", {Ext1, C, 5, Any}},
    {"sse4a", {Ext1, C, 6, Any}},
    {"prfchw", {Ext1, C, 8, Any}},
    {"xop", {Ext1, C, 11, Avx}},
    {"fma4", {Ext1, C, 16, Avx}},
    {"tbm", {Ext1, C, 21, Any}},
    {"bmi", {Leaf7, B, 3, Any}},
    {"avx2", {Leaf7, B, 5, Avx}},
    {"bmi2", {Leaf7, B, 8, Any}},
    {"avx512f", {Leaf7, B, 16, Avx512}},
    {"avx512dq", {Leaf7, B, 17, Avx512}},
    {"adx", {Leaf7, B, 19, Any}},
    {"avx512ifma", {Leaf7, B, 21, Avx512}},
    {"avx512cd", {Leaf7, B, 28, Avx512}},
    {"sha", {Leaf7, B, 29, Any}},
    {"avx512bw", {Leaf7, B, 30, Avx512}},
    {"avx512vl", {Leaf7, B, 31, Avx512}},
    {"avx512vbmi", {Leaf7, C, 1, Avx512}},
    {"avx512vbmi2", {Leaf7, C, 6, Avx512}},
    {"gfni", {Leaf7, C, 8, Any}},
    {"vaes", {Leaf7, C, 9, Avx}},
    {"vpclmulqdq", {Leaf7, C, 10, Avx}},
    {"avx512vnni", {Leaf7, C, 11, Avx512}},
    {"avx512bitalg", {Leaf7, C, 12, Avx512}},
    {"avx512vpopcntdq", {Leaf7, C, 14, Avx512}},
    {"avx512vp2intersect", {Leaf7, D, 8, Avx512}},
    {"amx-bf16", {Leaf7, D, 22, Amx}},
    {"avx512fp16", {Leaf7, D, 23, Avx512}},
    {"amx-tile", {Leaf7, D, 24, Amx}},
    {"amx-int8", {Leaf7, D, 25, Amx}},
    {"avxvnni", {Leaf7_1, A, 4, Avx}},
    {"avx512bf16", {Leaf7_1, A, 5, Avx512}},
    {"avxifma", {Leaf7_1, A, 23, Avx}},
    {"avxvnniint8", {Leaf7_1, D, 4, Avx}},
    {"avxneconvert", {Leaf7_1, D, 5, Avx}},
    {"avxvnniint16", {Leaf7_1, D, 10, Avx}},
};

/// Linux saves the tiles of AMX for processes that have asked for them once.
static bool grants(llvm::StringRef feature) {
  if (!feature.starts_with("amx-"))
    return true;
#if defined(__linux__) && defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

static const StringRef aliases[] = {"x86-64", "amd64", "AMD64"};
static const Triple::ArchType archs[] = {Triple::x86_64};
static const TargetArch arch = {
    /*name=*/"x86_64",
    aliases,
    archs,
    /*description=*/"64-bit x86, AVX2 to AVX-512",
    /*triple=*/"x86_64-unknown-linux-gnu",
    /*cpu=*/"x86-64-v3",
    /*features=*/"",
    /*abi=*/"",
    /*floatFeature=*/"sse2",
    needs,
    /*needsLinux=*/false,
    /*signExtendsInts=*/false,
    /*hasLargeSections=*/true,
    /*maxImageLog2=*/62,
    vectorUnit,
    initialize,
    /*runtime=*/{},
    grants,
};
static const TargetRegistration registration(arch);
