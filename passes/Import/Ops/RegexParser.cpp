// Reads regular expressions in RE2's syntax.

#include "passes/Import/Ops/Regex.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/ConvertUTF.h"
#include "llvm/Support/Unicode.h"

using namespace mlir;
using namespace dlc;

using Ranges = std::vector<std::pair<uint32_t, uint32_t>>;

static constexpr uint32_t kLastCodePoint = 0x10ffff;
static constexpr int kMostRepeats = 1000; // as in RE2

/// Sorted, without overlaps.
static Ranges normalize(Ranges ranges) {
  llvm::sort(ranges);
  Ranges result;
  for (auto [low, high] : ranges) {
    if (!result.empty() && low <= result.back().second + 1)
      result.back().second = std::max(result.back().second, high);
    else
      result.push_back({low, high});
  }
  return result;
}

static Ranges complement(const Ranges &ranges) {
  Ranges result;
  uint32_t next = 0;
  for (auto [low, high] : normalize(ranges)) {
    if (low > next)
      result.push_back({next, low - 1});
    next = high + 1;
  }
  if (next <= kLastCodePoint)
    result.push_back({next, kLastCodePoint});
  return result;
}

/// With every letter that differs in case only.
static Ranges foldCase(const Ranges &ranges) {
  constexpr int lastLetter = 0x1e943;
  std::vector<bool> folded(lastLetter + 1);
  auto fold = [=](int letter) {
    return std::min<int>(llvm::sys::unicode::foldCharSimple(letter),
                         lastLetter);
  };
  for (auto [low, high] : ranges)
    for (uint32_t c = low; c <= high && c <= lastLetter; ++c)
      folded[fold(c)] = true;
  Ranges result = ranges;
  for (int c = 0; c <= lastLetter; ++c)
    if (folded[fold(c)])
      result.push_back({c, c});
  return normalize(result);
}

/// The ranges of `\d`, `[:alpha:]` and so on; empty for other names.
static Ranges rangesOf(StringRef name) {
  return llvm::StringSwitch<Ranges>(name)
      .Cases({"d", "digit"}, {{'0', '9'}})
      .Cases({"w", "word"}, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}})
      .Case("s", {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}})
      .Case("space", {{'\t', '\r'}, {' ', ' '}})
      .Case("alpha", {{'A', 'Z'}, {'a', 'z'}})
      .Case("alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}})
      .Case("upper", {{'A', 'Z'}})
      .Case("lower", {{'a', 'z'}})
      .Case("punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}})
      .Case("blank", {{'\t', '\t'}, {' ', ' '}})
      .Case("cntrl", {{0, 31}, {127, 127}})
      .Case("graph", {{'!', '~'}})
      .Case("print", {{' ', '~'}})
      .Case("xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}})
      .Case("ascii", {{0, 127}})
      .Default({});
}

static RegexNode makeSet(Ranges ranges) {
  RegexNode node{RegexNode::Set};
  node.ranges = std::move(ranges);
  return node;
}

namespace {

class Parser {
public:
  Parser(StringRef text, RegexError error) : rest(text), error(error) {}

  FailureOr<RegexNode> parse() {
    RegexNode result = alternatives();
    if (!hasFailed && !rest.empty())
      fail("a ')' without a '('");
    if (hasFailed)
      return failure();
    return result;
  }

private:
  struct Flags {
    bool anyCase = false, lines = false, dotAll = false;
  };

  RegexNode fail(const Twine &message) {
    if (!hasFailed)
      error(message);
    hasFailed = true;
    rest = "";
    return {RegexNode::Empty};
  }

  RegexNode alternatives() {
    if (++depth > 200)
      return fail("groups nested too deeply");
    Flags before = flags;
    RegexNode either{RegexNode::Either};
    do
      either.children.push_back(sequence());
    while (rest.consume_front("|"));
    flags = before;
    --depth;
    return either.children.size() == 1 ? std::move(either.children.front())
                                       : either;
  }

  RegexNode sequence() {
    RegexNode list{RegexNode::Concat};
    while (!rest.empty() && rest.front() != '|' && rest.front() != ')') {
      if (rest.consume_front("\\Q")) {
        auto [quoted, after] = rest.split("\\E");
        StringRef all = rest;
        rest = quoted;
        while (!rest.empty() && !hasFailed)
          list.children.push_back(literal(codePoint()));
        if (!hasFailed)
          rest = all.size() == quoted.size() ? StringRef() : after;
        continue;
      }
      if (isRepeat(rest))
        return fail("nothing to repeat in front of '" + rest.take_front(1) +
                    "'");
      list.children.push_back(repeated(atom()));
    }
    return list;
  }

  static bool isRepeat(StringRef text) {
    if (StringRef("*+?").contains(text.front()))
      return true;
    int least, most;
    return bounds(text, least, most);
  }

  /// Takes `{n}`, `{n,}` or `{n,m}`; others are literal braces.
  static bool bounds(StringRef &text, int &least, int &most) {
    StringRef at = text;
    if (!at.consume_front("{") || at.consumeInteger(10, least))
      return false;
    most = least;
    if (at.consume_front(",")) {
      most = -1;
      if (!at.starts_with("}") && at.consumeInteger(10, most))
        return false;
    }
    if (!at.consume_front("}"))
      return false;
    text = at;
    return true;
  }

  RegexNode repeated(RegexNode atom) {
    bool isRepeated = false;
    while (!rest.empty() && !hasFailed) {
      RegexNode repeat{RegexNode::Repeat};
      if (rest.consume_front("*")) {
      } else if (rest.consume_front("+")) {
        repeat.least = 1;
      } else if (rest.consume_front("?")) {
        repeat.most = 1;
      } else if (!bounds(rest, repeat.least, repeat.most)) {
        break;
      }
      if (isRepeated)
        return fail("a repetition of a repetition");
      if (repeat.least > kMostRepeats || repeat.most > kMostRepeats ||
          (repeat.most >= 0 && repeat.most < repeat.least))
        return fail("a repetition expects rising counts up to " +
                    Twine(kMostRepeats));
      rest.consume_front("?"); // whether it is greedy makes no difference
      isRepeated = true;
      repeat.children.push_back(std::move(atom));
      atom = std::move(repeat);
    }
    return atom;
  }

  RegexNode literal(uint32_t letter) { return set({{letter, letter}}); }

  RegexNode set(Ranges ranges) {
    return makeSet(flags.anyCase ? foldCase(ranges) : normalize(ranges));
  }

  static RegexNode assertion(RegexNode::Where where) {
    RegexNode node{RegexNode::Assert};
    node.where = where;
    return node;
  }

  RegexNode atom() {
    if (rest.consume_front("("))
      return group();
    if (rest.consume_front("["))
      return bracket();
    if (rest.consume_front("."))
      return makeSet(
          complement(flags.dotAll ? Ranges{} : Ranges{{'\n', '\n'}}));
    if (rest.consume_front("^"))
      return assertion(flags.lines ? RegexNode::LineBegin
                                   : RegexNode::TextBegin);
    if (rest.consume_front("$"))
      return assertion(flags.lines ? RegexNode::LineEnd : RegexNode::TextEnd);
    if (rest.consume_front("\\A"))
      return assertion(RegexNode::TextBegin);
    if (rest.consume_front("\\z"))
      return assertion(RegexNode::TextEnd);
    if (rest.consume_front("\\b"))
      return assertion(RegexNode::WordBoundary);
    if (rest.consume_front("\\B"))
      return assertion(RegexNode::NoWordBoundary);
    if (rest.consume_front("\\C"))
      return {RegexNode::Byte};
    if (std::optional<Ranges> ranges = perlClass())
      return set(*ranges);
    return literal(letter());
  }

  RegexNode group() {
    Flags outer = flags;
    if (rest.consume_front("?")) {
      if (rest.consume_front("P<") || rest.consume_front("<")) {
        size_t end = rest.find('>');
        StringRef name = rest.take_front(end);
        if (end == StringRef::npos || name.empty() ||
            !llvm::all_of(name,
                          [](char c) { return llvm::isAlnum(c) || c == '_'; }))
          return fail("a group expects a name of letters, digits and '_' "
                      "between '<' and '>'");
        rest = rest.drop_front(end + 1);
      } else if (!groupFlags()) {
        return {RegexNode::Empty};
      }
    }
    RegexNode inner = alternatives();
    if (!hasFailed && !rest.consume_front(")"))
      return fail("a '(' without a ')'");
    flags = outer;
    return inner;
  }

  /// `i-s:` of a group, or `i)`, which holds for what follows. True where a
  /// group follows.
  bool groupFlags() {
    Flags next = flags;
    bool value = true;
    while (!rest.empty()) {
      char c = rest.front();
      rest = rest.drop_front();
      switch (c) {
      case 'i':
        next.anyCase = value;
        continue;
      case 'm':
        next.lines = value;
        continue;
      case 's':
        next.dotAll = value;
        continue;
      case 'U': // which of two repetitions is greedy makes no difference
        continue;
      case '-':
        value = false;
        continue;
      case ')':
        flags = next;
        return false;
      case ':':
        flags = next;
        return true;
      default:
        fail("a group with the unknown flag '" + Twine(c) + "'");
        return false;
      }
    }
    fail("a '(' without a ')'");
    return false;
  }

  /// `\d` and its like.
  std::optional<Ranges> perlClass() {
    if (rest.size() < 2 || rest.front() != '\\')
      return std::nullopt;
    char c = rest[1];
    if (c == 'p' || c == 'P') {
      fail("classes by Unicode property are not supported");
      return Ranges{};
    }
    if (!StringRef("dDsSwW").contains(c))
      return std::nullopt;
    rest = rest.drop_front(2);
    char lower = llvm::toLower(c);
    Ranges ranges = rangesOf(StringRef(&lower, 1));
    return lower == c ? ranges : complement(ranges);
  }

  RegexNode bracket() {
    bool negated = rest.consume_front("^");
    Ranges ranges;
    for (bool first = true; !hasFailed; first = false) {
      if (rest.empty())
        return fail("a '[' without a ']'");
      if (!first && rest.consume_front("]"))
        break;
      if (rest.starts_with("[:")) {
        auto [name, after] = rest.drop_front(2).split(":]");
        bool inverse = name.consume_front("^");
        Ranges named = rangesOf(name);
        if (named.empty() || name.size() < 2)
          return fail("the unknown class '[:" + name + ":]'");
        rest = after;
        llvm::append_range(ranges, inverse ? complement(named) : named);
        continue;
      }
      if (std::optional<Ranges> named = perlClass()) {
        llvm::append_range(ranges, *named);
        continue;
      }
      uint32_t low = letter(), high = low;
      if (rest.size() > 1 && rest.front() == '-' && rest[1] != ']') {
        rest = rest.drop_front();
        high = letter();
        if (high < low)
          return fail("a range whose end is before its begin");
      }
      ranges.push_back({low, high});
    }
    if (flags.anyCase)
      ranges = foldCase(ranges);
    return makeSet(negated ? complement(ranges) : normalize(ranges));
  }

  /// A letter, escaped or not.
  uint32_t letter() {
    if (!rest.consume_front("\\"))
      return codePoint();
    if (rest.empty()) {
      fail("a '\\' at the end");
      return 0;
    }
    char c = rest.front();
    if (c >= '0' && c <= '7' &&
        (c == '0' || (rest.size() > 1 && rest[1] >= '0' && rest[1] <= '7'))) {
      uint32_t value = 0;
      for (int i = 0;
           i < 3 && !rest.empty() && rest.front() >= '0' && rest.front() <= '7';
           ++i, rest = rest.drop_front())
        value = value * 8 + (rest.front() - '0');
      return value;
    }
    if (rest.consume_front("x"))
      return hexadecimal();
    static const llvm::StringMap<char> controls = {{"a", '\a'}, {"f", '\f'},
                                                   {"t", '\t'}, {"n", '\n'},
                                                   {"r", '\r'}, {"v", '\v'}};
    if (auto it = controls.find(rest.take_front(1)); it != controls.end()) {
      rest = rest.drop_front();
      return it->second;
    }
    if (llvm::isAlnum(c)) {
      fail("the unknown escape '\\" + Twine(c) + "'");
      return 0;
    }
    return codePoint();
  }

  uint32_t hexadecimal() {
    uint32_t value = 0;
    StringRef digits = rest.take_front(2);
    bool isLong = rest.consume_front("{");
    if (isLong)
      digits = rest.take_until([](char c) { return c == '}'; });
    if (digits.empty() || digits.getAsInteger(16, value) ||
        value > kLastCodePoint || (!isLong && digits.size() < 2)) {
      fail("'\\x' expects two digits, or a code point in braces");
      return 0;
    }
    rest = rest.drop_front(digits.size());
    if (isLong && !rest.consume_front("}"))
      fail("'\\x{' without a '}'");
    return value;
  }

  uint32_t codePoint() {
    const auto *begin = reinterpret_cast<const llvm::UTF8 *>(rest.begin());
    const auto *end = reinterpret_cast<const llvm::UTF8 *>(rest.end());
    llvm::UTF32 value = 0;
    if (llvm::convertUTF8Sequence(&begin, end, &value,
                                  llvm::strictConversion) !=
        llvm::conversionOK) {
      fail("a byte that is no UTF-8");
      return 0;
    }
    rest =
        rest.drop_front(reinterpret_cast<const char *>(begin) - rest.begin());
    return value;
  }

  StringRef rest;
  RegexError error;
  Flags flags;
  int depth = 0;
  bool hasFailed = false;
};

} // namespace

FailureOr<RegexNode> dlc::parseRegex(StringRef pattern, RegexError error) {
  return Parser(pattern, error).parse();
}
