// Maps names of ONNX models to C identifiers.
#include "lib/Codegen/Interface.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace llvm;

/// Keywords of C23 and C++23, and macros that headers and compilers define in
/// lower case or that user code cannot do without.
static bool isReserved(StringRef word) {
  static const StringSet<> words = {
      "alignas", "alignof", "and", "and_eq", "asm", "assert", "auto", "bitand",
      "bitor", "bool", "break", "case", "catch", "char", "char8_t", "char16_t",
      "char32_t", "class", "co_await", "co_return", "co_yield", "compl",
      "complex", "concept", "const", "const_cast", "consteval", "constexpr",
      "constinit", "continue", "decltype", "default", "delete", "do", "double",
      "dynamic_cast", "else", "enum", "errno", "explicit", "export", "extern",
      "false", "float", "for", "friend", "goto", "if", "imaginary", "inline",
      "int", "linux", "long", "mutable", "namespace", "new", "noexcept", "not",
      "not_eq", "nullptr", "operator", "or", "or_eq", "private", "protected",
      "public", "register", "reinterpret_cast", "requires", "restrict",
      "return", "short", "signed", "sizeof", "static", "static_assert",
      "static_cast", "stderr", "stdin", "stdout", "struct", "switch",
      "template", "this", "thread_local", "throw", "true", "try", "typedef",
      "typeid", "typename", "typeof", "typeof_unqual", "union", "unix",
      "unsigned", "using", "virtual", "void", "volatile", "wchar_t", "while",
      "xor", "xor_eq", "EOF", "I", "NULL", "NAN", "INFINITY",
      // Types of the members that may stand beside it in a struct.
      "int8_t", "int16_t", "int32_t", "int64_t", "uint8_t", "uint16_t",
      "uint32_t", "uint64_t", "size_t"};
  if (words.contains(word))
    return true;
  // Macros of <stdint.h>, which the header includes: INT8_MIN, UINTMAX_C...
  if (!word.ends_with("_MIN") && !word.ends_with("_MAX") &&
      !word.ends_with("_C"))
    return false;
  return any_of(ArrayRef<StringRef>{"INT", "UINT", "PTRDIFF_", "SIG_ATOMIC_",
                                    "SIZE_", "WCHAR_", "WINT_"},
                [&](StringRef prefix) { return word.starts_with(prefix); });
}

std::string dlc::toCIdentifier(StringRef name) {
  std::string result;
  for (char c : name) {
    bool plain = isAlnum(c);
    // A run of other characters becomes one '_': C++ keeps "__" for itself.
    if (plain || (!result.empty() && result.back() != '_'))
      result += plain ? c : '_';
  }
  if (result.empty() || isDigit(result.front()))
    result = "t" + result;
  if (isReserved(result))
    result += "_";
  return result;
}

std::string dlc::toModelName(StringRef stem) {
  std::string name = toCIdentifier(stem);
  while (name.size() > 1 && name.back() == '_')
    name.pop_back();
  // dlc_ is where the types that all headers share live.
  if (name == "dlc" || StringRef(name).starts_with("dlc_"))
    name = "model_" + name;
  return name;
}
