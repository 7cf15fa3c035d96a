// dlc verify, dlc quantize and dlc profile: hand over to the Python package,
// which knows ONNX Runtime and edits models.

#include "dlc/dlc-c.h"
#include "tools/dlc/Options.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include <cerrno>
#include <cstdlib>
#include <dlfcn.h>
#include <system_error>
#include <unistd.h>

using namespace dlc;
using namespace dlc::tool;
namespace fs = llvm::sys::fs;
namespace path = llvm::sys::path;

/// What is missing is said in one line, with the command that installs it.
static constexpr llvm::StringLiteral kProgram = R"(
import importlib, importlib.util, sys
folder, command, *names = sys.argv.pop(1).split("\n")
missing = [name for name in names if importlib.util.find_spec(name) is None]
if missing:
    sys.exit("dlc: error: " + command + " needs the Python packages " + ", ".join(names)
             + "; missing: " + ", ".join(missing) + "; install them with: "
             + sys.executable + " -m pip install " + " ".join(missing))
sys.path.insert(0, folder)
sys.exit(importlib.import_module("dlc." + command).main())
)";

/// The first of `parts` below `folder` that exists; "" when none does.
static std::string findBelow(llvm::StringRef folder,
                             llvm::ArrayRef<llvm::StringRef> parts) {
  for (llvm::StringRef part : parts) {
    llvm::SmallString<128> found(folder);
    path::append(found, part);
    if (fs::exists(found))
      return found.str().str();
  }
  return "";
}

int tool::runPython(const char *program, llvm::StringRef name,
                    llvm::ArrayRef<llvm::StringRef> packages,
                    llvm::ArrayRef<const char *> arguments) {
  std::string self =
      fs::getMainExecutable(program, reinterpret_cast<void *>(&dlc_version));
  llvm::StringRef bin = path::parent_path(self);
  // The build folder has an environment of its own.
  std::string python = findBelow(bin, {"../venv/bin/python3"});
  if (python.empty())
    if (auto found = llvm::sys::findProgramByName("python3"))
      python = *found;
  if (python.empty())
    return fail(name +
                " needs python3, which is not in PATH; install Python "
                "3.9 or newer with the packages " +
                llvm::join(packages, " and "));
  // A checkout, or an installation.
  std::string module =
      findBelow(bin, {"../../python/dlc/__init__.py",
                      "../" DLC_PYTHON_INSTALL_DIR "/dlc/__init__.py"});
  if (module.empty())
    return fail("the Python package dlc is not installed beside '" + self +
                "'");
  // The library that this program runs with.
  Dl_info library;
  if (dladdr(reinterpret_cast<void *>(&dlc_version), &library))
    setenv("DLC_LIBRARY", library.dli_fname, /*overwrite=*/0);

  std::string what = (path::parent_path(path::parent_path(module)) + "\n" +
                      name + "\n" + llvm::join(packages, "\n"))
                         .str();
  llvm::SmallVector<const char *> command = {python.c_str(), "-c",
                                             kProgram.data(), what.c_str()};
  llvm::append_range(command, arguments);
  command.push_back(nullptr);
  // In the place of this process, so that signals to it are the program's.
  execv(python.c_str(), const_cast<char *const *>(command.data()));
  return fail("cannot run '" + python +
              "': " + std::generic_category().message(errno));
}
