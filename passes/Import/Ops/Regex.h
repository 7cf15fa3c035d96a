/// \file
/// Regular expressions as tables of finite automata, made at compile time.
#ifndef DLC_PASSES_IMPORT_OPS_REGEX_H
#define DLC_PASSES_IMPORT_OPS_REGEX_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/Twine.h"
#include <cstdint>
#include <vector>

namespace dlc {

/// A node of a pattern.
struct RegexNode {
  enum Kind { Empty, Set, Byte, Concat, Either, Repeat, Assert };
  RegexNode(Kind kind) : kind(kind) {}

  Kind kind;
  /// Of a Set: ranges of code points, both ends inside.
  std::vector<std::pair<uint32_t, uint32_t>> ranges;
  std::vector<RegexNode> children;
  int least = 0, most = -1; ///< of a Repeat; most -1: any number
  enum Where {
    TextBegin,
    TextEnd,
    LineBegin,
    LineEnd,
    WordBoundary,
    NoWordBoundary
  } where = TextBegin; ///< of an Assert
};

/// Says what is wrong with a pattern.
using RegexError = llvm::function_ref<void(const llvm::Twine &)>;

/// Reads a pattern in RE2's syntax. Classes by Unicode property (`\pL`) are
/// refused.
llvm::FailureOr<RegexNode> parseRegex(llvm::StringRef pattern,
                                      RegexError error);

/// A deterministic automaton over bytes: the next state is
/// `next[state * numClasses + classes[byte]]`, the first is 0.
struct RegexTable {
  std::vector<uint8_t> classes; ///< of the 256 bytes
  int64_t numClasses = 0;
  std::vector<int32_t> next;
  std::vector<uint8_t> accepts; ///< of each state: 1 where the text may end
};

/// The automaton that accepts what the whole pattern matches.
llvm::FailureOr<RegexTable> compileRegex(llvm::StringRef pattern,
                                         RegexError error);

} // namespace dlc

#endif
