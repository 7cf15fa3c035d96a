/// \file
/// The processors dlc makes code for: their spellings, defaults, vector
/// registers and what an object checks before it runs. One file a target
/// (X86.cpp, AArch64.cpp, Arm.cpp, RiscV.cpp) registers one TargetArch.
#ifndef DLC_LIB_TARGET_TARGET_H
#define DLC_LIB_TARGET_TARGET_H

#include "dlc/Api.h"
#include "lib/Target/Gpu.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Triple.h"
#include <memory>
#include <string>
#include <vector>

namespace dlc {
struct TargetArch;

/// The dot product instruction of a vector unit: int8 x int8 (or uint8) groups
/// of four accumulated into int32 lanes.
enum class DotProduct {
  None,
  Vnni, ///< x86 vpdpbusd: unsigned by signed
  Madd, ///< x86 vpmaddwd: pairs of 16 bits, to which bytes are extended
  SDot, ///< Arm sdot/udot: equal signs
  I8mm, ///< Arm sdot and smmla/usdot
};

/// What the kernel generator must know of a vector unit.
struct VectorUnit {
  unsigned bytes = 16;     ///< of one register
  unsigned registers = 16; ///< how many the register allocator has
  bool fma = false;        ///< fused multiply-add of f32
  bool byElement = false;  ///< multiply-add by one lane of a register (Arm)
  bool fp16 = false;       ///< f16 arithmetic
  bool bf16 = false;       ///< bf16 dot product into f32
  DotProduct dot = DotProduct::None;
  unsigned dotBytes = 0; ///< register width of the dot product
  /// Tiles of 16 rows of 64 bytes, whose products are summed in tiles (x86
  /// AMX), of bytes and of bf16.
  bool byteTiles = false, pairTiles = false;
  /// A core's own second cache, or its share of one; a guess where the CPU is
  /// generic.
  int64_t l2Bytes = 1 << 20;
  /// How tables of bytes are looked up in: a form of dlc-lower-lookup.
  llvm::StringRef lookup = "none";
};

/// A machine to make code for. Made by resolveTarget() only.
struct DLC_API TargetSpec {
  std::string triple;   ///< normalised, e.g. "x86_64-unknown-linux-gnu"
  std::string cpu;      ///< LLVM's name, never "native"
  std::string label;    ///< the same with "+dotprod" where -mcpu says that
  std::string features; ///< "+avx2,-sse4a,...", sorted where native
  std::string abi;      ///< LLVM's ABI name, mostly empty
  const TargetArch *arch = nullptr;
  std::vector<std::string> enabled; ///< all features on, sorted
  std::vector<GpuArch> gpus;        ///< beside the CPU; mostly none

  bool hasFeature(llvm::StringRef name) const;
  VectorUnit vectorUnit() const;
  unsigned pointerBits() const;
  /// True when this very process could run the code.
  bool isNative() const;
};

/// One instruction set extension and how a running program can find it. The
/// four numbers mean what the run-time check of the target says (rt_cpu.c).
struct CpuNeed {
  const char *feature; ///< LLVM's name
  int32_t where[4];
};

/// What a target's file tells about it.
struct TargetArch {
  llvm::StringRef name;                    ///< short name: -target=NAME
  llvm::ArrayRef<llvm::StringRef> aliases; ///< other spellings
  llvm::ArrayRef<llvm::Triple::ArchType> archs;
  llvm::StringRef description;
  llvm::StringRef triple;             ///< of the short name
  llvm::StringRef cpu, features, abi; ///< without -mcpu and -mattr
  llvm::StringRef floatFeature;       ///< what passes floating-point arguments
  /// Instruction sets whose absence can be found at run time. Features that
  /// the runtime's own code needs already (the baseline) are not listed.
  llvm::ArrayRef<CpuNeed> needs;
  bool needsLinux;       ///< the check asks the C library of Linux
  bool signExtendsInts;  ///< the C ABI passes `int` sign-extended
  bool hasLargeSections; ///< x86-64's code model for data above 2 GiB
  unsigned maxImageLog2; ///< an object's data may have 2^this bytes
  VectorUnit (*vectorUnit)(const TargetSpec &);
  void (*initialize)(); ///< registers LLVM's back end
  /// The target of dlc's own whose runtime code objects get, where it is
  /// another one: for targets of plugins.
  llvm::StringRef runtime = {};
  /// Whether the system lets this process use a feature that the CPU has; null
  /// where it always does.
  bool (*grants)(llvm::StringRef feature) = nullptr;
  /// Features of no CPU, which tell LLVM how to make code.
  llvm::StringRef tuning = {};

  llvm::StringRef getRuntime() const {
    return runtime.empty() ? name : runtime;
  }
};

/// Registers a target; one static object in each target's file.
struct DLC_API TargetRegistration {
  explicit TargetRegistration(const TargetArch &arch);
};

/// Resolves the spellings of -target, -mcpu, -mattr and --gpu, each of which
/// may be empty. Without `target` and `cpu` the result is this machine; with a
/// `target` that is a GPU, this machine and the GPU. Errors name the word that
/// is unknown and the nearest known one.
DLC_API llvm::Expected<TargetSpec> resolveTarget(llvm::StringRef target,
                                                 llvm::StringRef cpu = "",
                                                 llvm::StringRef features = "",
                                                 llvm::StringRef gpus = "");

/// The same for a list of CPUs with commas: one machine for each, which differ
/// by what code may use; what can most comes first.
DLC_API llvm::Expected<std::vector<TargetSpec>>
resolveTargets(llvm::StringRef target, llvm::StringRef cpus,
               llvm::StringRef features, llvm::StringRef gpus);

/// Makes LLVM's description of the machine: position-independent code, one
/// section a function. `optLevel` is 0 to 3.
DLC_API llvm::Expected<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const TargetSpec &spec, unsigned optLevel);

/// Every registered target, by name.
DLC_API std::vector<const TargetArch *> listTargets();

/// The texts of -mcpu=help and -mattr=help: what LLVM knows for a spelling of
/// -target.
DLC_API llvm::Error printCpus(llvm::raw_ostream &os, llvm::StringRef target);
DLC_API llvm::Error printFeatures(llvm::raw_ostream &os,
                                  llvm::StringRef target);

/// The text of --print-targets.
DLC_API void printTargets(llvm::raw_ostream &os);

} // namespace dlc

#endif
