/// \file
/// The generated C header.
#ifndef DLC_LIB_CODEGEN_HEADER_H
#define DLC_LIB_CODEGEN_HEADER_H

#include "lib/Codegen/Interface.h"

namespace dlc {

/// The text of NAME.h: C99 and C++17, needs no file of dlc's.
/// docs/CInterface.md describes it. `target` goes into a comment.
std::string generateHeader(const ModelInterface &model, llvm::StringRef target);

} // namespace dlc

#endif
