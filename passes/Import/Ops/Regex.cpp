// Regular expressions as automata: the pattern becomes a nondeterministic one
// over bytes (Thompson, "Regular Expression Search Algorithm", 1968), its sets
// of states the states of a deterministic one.

#include "passes/Import/Ops/Regex.h"
#include "llvm/ADT/StringExtras.h"
#include <map>

using namespace mlir;
using namespace dlc;

static constexpr size_t kMostStates = 100000;
static constexpr size_t kMostTableStates = 10000;

namespace {

/// A state: reads a byte in [low, high], or goes on without reading one.
struct State {
  enum Kind { Read, Split, Assert, Match } kind;
  int next = -1, other = -1; // `other`: of a Split
  uint8_t low = 0, high = 255;
  RegexNode::Where where = RegexNode::TextBegin;
};

/// What stands on a side of a place in the text.
enum Side { Edge, Newline, WordLetter, OtherLetter };

Side sideOf(int byte) {
  return byte == '\n'                               ? Newline
         : llvm::isAlnum(char(byte)) || byte == '_' ? WordLetter
                                                    : OtherLetter;
}

bool holds(RegexNode::Where where, Side before, Side after) {
  switch (where) {
  case RegexNode::TextBegin:
    return before == Edge;
  case RegexNode::TextEnd:
    return after == Edge;
  case RegexNode::LineBegin:
    return before == Edge || before == Newline;
  case RegexNode::LineEnd:
    return after == Edge || after == Newline;
  case RegexNode::WordBoundary:
    return (before == WordLetter) != (after == WordLetter);
  case RegexNode::NoWordBoundary:
    return (before == WordLetter) == (after == WordLetter);
  }
  llvm_unreachable("unknown assertion");
}

/// The nondeterministic automaton, built from its end: `build(node, next)` is
/// the state that reads what `node` matches and goes on to `next`.
struct Automaton {
  std::vector<State> states;
  bool isTooLarge = false;

  int add(State state) {
    if (states.size() >= kMostStates) {
      isTooLarge = true;
      return 0;
    }
    states.push_back(state);
    return states.size() - 1;
  }
  int addRead(uint8_t low, uint8_t high, int next) {
    return add({State::Read, next, -1, low, high});
  }
  int addSplit(int next, int other) { return add({State::Split, next, other}); }

  int build(const RegexNode &node, int next) {
    if (isTooLarge)
      return 0;
    switch (node.kind) {
    case RegexNode::Empty:
      return next;
    case RegexNode::Byte:
      return addRead(0, 255, next);
    case RegexNode::Set:
      return buildSet(node, next);
    case RegexNode::Assert: {
      State state{State::Assert, next};
      state.where = node.where;
      return add(state);
    }
    case RegexNode::Concat:
      for (const RegexNode &child : llvm::reverse(node.children))
        next = build(child, next);
      return next;
    case RegexNode::Either: {
      int result = build(node.children.back(), next);
      for (const RegexNode &child :
           llvm::reverse(ArrayRef(node.children).drop_back()))
        result = addSplit(build(child, next), result);
      return result;
    }
    case RegexNode::Repeat:
      return buildRepeat(node, next);
    }
    llvm_unreachable("unknown kind of node");
  }

private:
  int buildRepeat(const RegexNode &node, int next) {
    const RegexNode &child = node.children.front();
    if (node.most < 0) {
      int loop = addSplit(-1, next);
      int inner = build(child, loop);
      if (!isTooLarge)
        states[loop].next = inner;
      next = loop;
    } else {
      int end = next;
      for (int i = node.least; i < node.most && !isTooLarge; ++i)
        next = addSplit(build(child, next), end);
    }
    for (int i = 0; i < node.least && !isTooLarge; ++i)
      next = build(child, next);
    return next;
  }

  int buildSet(const RegexNode &node, int next) {
    int result = -1;
    for (auto [low, high] : node.ranges)
      addRange(low, high, next, result);
    // A set of nothing: a state that no text leaves.
    return result < 0 ? add({State::Split, -1, -1}) : result;
  }

  static SmallVector<uint8_t, 4> encode(uint32_t letter) {
    if (letter < 0x80)
      return {uint8_t(letter)};
    int more = letter >= 0x10000 ? 3 : letter >= 0x800 ? 2 : 1;
    static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
    SmallVector<uint8_t, 4> bytes{uint8_t(heads[more] | letter >> 6 * more)};
    while (more--)
      bytes.push_back(0x80 | ((letter >> 6 * more) & 0x3f));
    return bytes;
  }

  /// Adds the code points [low, high] to the choice `result`, cut into parts
  /// whose UTF-8 is a range in each byte.
  void addRange(uint32_t low, uint32_t high, int next, int &result) {
    for (uint32_t last : {0x7fu, 0x7ffu, 0xd7ffu, 0xdfffu, 0xffffu})
      if (low <= last && high > last) {
        addRange(low, last, next, result);
        return addRange(last + 1, high, next, result);
      }
    if (low >= 0xd800 && high <= 0xdfff) // surrogates are no characters
      return;
    for (int i = 1; i < 4 && high >= 0x80; ++i) {
      uint32_t mask = (1u << 6 * i) - 1;
      if ((low & ~mask) == (high & ~mask))
        continue;
      if (low & mask) {
        addRange(low, low | mask, next, result);
        return addRange((low | mask) + 1, high, next, result);
      }
      if ((high & mask) != mask) {
        addRange(low, (high & ~mask) - 1, next, result);
        return addRange(high & ~mask, high, next, result);
      }
    }
    SmallVector<uint8_t, 4> first = encode(low), last = encode(high);
    int state = next;
    for (size_t i = first.size(); i-- > 0;)
      state = addRead(first[i], last[i], state);
    result = result < 0 ? state : addSplit(state, result);
  }
};

/// Makes the table: its states are sets of states that a byte led to, with
/// what that byte was, since assertions look at both sides.
class TableBuilder {
public:
  TableBuilder(const Automaton &automaton) : automaton(automaton) {}

  FailureOr<RegexTable> run(int start) {
    makeClasses();
    numberOf({start}, Edge);
    for (size_t i = 0; i < pending.size(); ++i) {
      if (pending.size() > kMostTableStates)
        return failure();
      Key key = pending[i];
      std::vector<int> atEnd = close(key.first, key.second, Edge);
      table.accepts.push_back(llvm::any_of(atEnd, [&](int state) {
        return automaton.states[state].kind == State::Match;
      }));
      for (int byte : representatives) {
        std::vector<int> reached;
        for (int state : close(key.first, key.second, sideOf(byte))) {
          const State &from = automaton.states[state];
          if (from.kind == State::Read && byte >= from.low && byte <= from.high)
            reached.push_back(from.next);
        }
        table.next.push_back(numberOf(std::move(reached),
                                      usesSides ? sideOf(byte) : OtherLetter));
      }
    }
    return table;
  }

private:
  using Key = std::pair<std::vector<int>, Side>;

  /// Bytes that no state tells apart are one class.
  void makeClasses() {
    std::vector<bool> begins(257);
    begins[0] = true;
    for (const State &state : automaton.states) {
      usesSides |= state.kind == State::Assert;
      if (state.kind == State::Read)
        begins[state.low] = begins[state.high + 1] = true;
    }
    for (int byte = 1; usesSides && byte < 256; ++byte)
      if (sideOf(byte) != sideOf(byte - 1))
        begins[byte] = true;
    table.classes.resize(256);
    for (int byte = 0; byte < 256; ++byte) {
      if (begins[byte])
        representatives.push_back(byte);
      table.classes[byte] = representatives.size() - 1;
    }
    table.numClasses = representatives.size();
  }

  int numberOf(std::vector<int> states, Side before) {
    llvm::sort(states);
    states.erase(llvm::unique(states), states.end());
    auto [it, isNew] =
        numbers.try_emplace({states, before}, int(pending.size()));
    if (isNew)
      pending.push_back(it->first);
    return it->second;
  }

  /// The states that are reached without reading a byte.
  std::vector<int> close(const std::vector<int> &from, Side before,
                         Side after) {
    std::vector<int> result, stack(from);
    std::vector<bool> seen(automaton.states.size());
    while (!stack.empty()) {
      int number = stack.back();
      stack.pop_back();
      if (number < 0 || seen[number])
        continue;
      seen[number] = true;
      const State &state = automaton.states[number];
      if (state.kind == State::Split) {
        stack.push_back(state.next);
        stack.push_back(state.other);
      } else if (state.kind == State::Assert) {
        if (holds(state.where, before, after))
          stack.push_back(state.next);
      } else {
        result.push_back(number);
      }
    }
    return result;
  }

  const Automaton &automaton;
  RegexTable table;
  bool usesSides = false;
  std::vector<int> representatives;
  std::map<Key, int> numbers;
  std::vector<Key> pending;
};

} // namespace

FailureOr<RegexTable> dlc::compileRegex(StringRef pattern, RegexError error) {
  FailureOr<RegexNode> node = parseRegex(pattern, error);
  if (failed(node))
    return failure();
  Automaton automaton;
  int match = automaton.add({State::Match});
  int start = automaton.build(*node, match);
  FailureOr<RegexTable> table = failure();
  if (!automaton.isTooLarge)
    table = TableBuilder(automaton).run(start);
  if (failed(table))
    error("more than " + Twine(kMostTableStates) + " states of its automaton");
  return table;
}
