// Finds NVIDIA's assembler and runs it.
#include "lib/Codegen/Assemble.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

static Expected<std::string> findAssembler() {
  if (std::optional<std::string> given = sys::Process::GetEnv("DLC_PTXAS")) {
    if (sys::fs::can_execute(*given))
      return *given;
    return createStringError("--embed=cubin needs ptxas, and DLC_PTXAS names "
                             "no program: '" +
                             *given + "'");
  }
  if (ErrorOr<std::string> path = sys::findProgramByName("ptxas"))
    return *path;
  if (ErrorOr<std::string> path =
          sys::findProgramByName("ptxas", {"/usr/local/cuda/bin"}))
    return *path;
  return createStringError(
      "--embed=cubin needs NVIDIA's ptxas, which is neither in PATH nor in "
      "/usr/local/cuda/bin, and DLC_PTXAS does not name it (PyPI: "
      "nvidia-cuda-nvcc-cu12)");
}

Expected<std::string> dlc::assemblePtx(StringRef ptx, StringRef arch) {
  Expected<std::string> program = findAssembler();
  if (!program)
    return program.takeError();
  SmallString<128> source, result, log;
  for (auto [path, ending] :
       {std::pair(&source, "ptx"), std::pair(&result, "cubin"),
        std::pair(&log, "txt")})
    if (std::error_code code =
            sys::fs::createTemporaryFile("dlc-assemble", ending, *path))
      return createStringError(
          formatv("--embed=cubin needs a temporary file, and '{0}' cannot be "
                  "made: {1} (TMPDIR names the folder)",
                  *path, code.message()));
  FileRemover removers[] = {FileRemover(source), FileRemover(result),
                            FileRemover(log)};
  std::error_code code;
  {
    raw_fd_ostream os(source, code);
    if (!code)
      os << ptx;
  }
  if (code)
    return createStringError(
        formatv("cannot write '{0}': {1}", source, code.message()));
  std::string flag = ("-arch=" + arch).str();
  std::vector<StringRef> arguments = {*program, flag, source, "-o", result};
  std::optional<StringRef> redirects[] = {StringRef(""), StringRef(log),
                                          StringRef(log)};
  std::string message;
  if (sys::ExecuteAndWait(*program, arguments, std::nullopt, redirects, 0, 0,
                          &message) != 0) {
    if (ErrorOr<std::unique_ptr<MemoryBuffer>> text =
            MemoryBuffer::getFile(log))
      message += (*text)->getBuffer().rtrim();
    return createStringError(formatv("{0} could not assemble the kernels for "
                                     "{1}: {2}",
                                     *program, arch, message));
  }
  ErrorOr<std::unique_ptr<MemoryBuffer>> made = MemoryBuffer::getFile(result);
  if (!made)
    return createStringError(
        formatv("cannot read '{0}': {1}", result, made.getError().message()));
  return (*made)->getBuffer().str();
}
