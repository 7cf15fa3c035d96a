/// \file
/// Puts the weights into an object file.
#ifndef DLC_LIB_CODEGEN_WEIGHTSECTION_H
#define DLC_LIB_CODEGEN_WEIGHTSECTION_H

#include "lib/Codegen/WeightTable.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace dlc {

/// What a section becomes when it gets its bytes.
struct WeightSection {
  llvm::StringRef name;
  bool writable; ///< for its place in the program only
};

/// Writes `object`, an ELF file in which the section `empty` has a size and no
/// contents, to `os` with the table's bytes as its contents and with the name,
/// of the same length, and flags of `section`. LLVM sees neither the bytes nor
/// their zeros, so their number costs no memory here. An object that has no
/// such section is written as it is.
llvm::Error writeObject(llvm::SmallVectorImpl<char> &object,
                        llvm::StringRef empty, WeightSection section,
                        const WeightTable &weights, llvm::raw_fd_ostream &os);

} // namespace dlc

#endif
