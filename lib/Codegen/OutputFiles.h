/// \file
/// Files that appear all together, complete, or not at all.
#ifndef DLC_LIB_CODEGEN_OUTPUTFILES_H
#define DLC_LIB_CODEGEN_OUTPUTFILES_H

#include "dlc/Api.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"
#include <vector>

namespace dlc {

/// Collects files under temporary names beside their places; commit() renames
/// them. Whatever is not committed is removed, also when a signal ends the
/// process.
class DLC_API OutputFiles {
public:
  OutputFiles() = default;
  OutputFiles(const OutputFiles &) = delete;
  ~OutputFiles();

  /// Writes one file with `writer`. A path that is no regular file ("-",
  /// /dev/null, a pipe) is written at once.
  llvm::Error
  write(llvm::StringRef path,
        llvm::function_ref<llvm::Error(llvm::raw_fd_ostream &)> writer);

  /// Whether a path is no file that could be renamed: "-", a device, a pipe.
  static bool isStream(llvm::StringRef path);

  /// Fails where a file could not be written: what can be known beforehand.
  static llvm::Error check(llvm::StringRef path);

  /// Reserves a file that another program writes; returns its temporary name.
  llvm::Expected<std::string> reserve(llvm::StringRef path);

  llvm::Error commit();

private:
  struct Pending {
    llvm::sys::fs::TempFile file;
    std::string path;
  };
  std::vector<Pending> pending;
};

} // namespace dlc

#endif
