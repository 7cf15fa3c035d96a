// Finds a linker for the target and runs it.
#include "lib/Codegen/LinkShared.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/TargetParser/Host.h"

using namespace llvm;
using namespace dlc;

/// The prefix of GNU cross compilers: "aarch64-linux-gnu".
static std::string gnuPrefix(const Triple &triple) {
  StringRef arch = triple.getArchName();
  if (triple.getArch() == Triple::arm)
    arch = "arm";
  return formatv("{0}-{1}-{2}", arch, triple.getOSName(),
                 triple.getEnvironmentName());
}

Error dlc::linkShared(const TargetSpec &spec, StringRef object,
                      StringRef result) {
  Triple triple(spec.triple);
  bool host =
      triple.getArch() == Triple(sys::getDefaultTargetTriple()).getArch();
  std::string prefix = gnuPrefix(triple);
  SmallVector<std::string> names;
  if (host)
    names.append({"cc", "gcc", "clang"});
  names.append({prefix + "-gcc", prefix + "-clang"});
  std::string program;
  for (const std::string &name : names)
    if (ErrorOr<std::string> path = sys::findProgramByName(name)) {
      program = *path;
      break;
    }
  if (program.empty())
    return createStringError(
        formatv("--emit=shared needs a C compiler for {0}: none of {1} was "
                "found in PATH (Debian: apt install gcc-{2})",
                spec.triple, join(names, ", "), prefix));

  SmallString<128> log;
  if (std::error_code code =
          sys::fs::createTemporaryFile("dlc-link", "txt", log))
    return createStringError(
        formatv("--emit=shared needs a temporary file, and '{0}' cannot be "
                "made: {1} (TMPDIR names the folder)",
                log, code.message()));
  FileRemover remover(log);
  std::vector<StringRef> arguments = {program, "-shared", "-o",       result,
                                      object,  "-lm",     "-lpthread"};
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log),
                                          StringRef(log)};
  std::string message;
  int code = sys::ExecuteAndWait(program, arguments, std::nullopt, redirects, 0,
                                 0, &message);
  if (code == 0)
    return Error::success();
  if (ErrorOr<std::unique_ptr<MemoryBuffer>> text = MemoryBuffer::getFile(log))
    message += (*text)->getBuffer().rtrim();
  return createStringError(
      formatv("{0} could not link the shared library: {1}", program, message));
}
