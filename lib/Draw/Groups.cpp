// Makes groups of the names of nodes.

#include "lib/Draw/Groups.h"
#include "llvm/ADT/STLExtras.h"
#include <map>
#include <set>

using namespace dlc::draw;

Groups::Groups(const Graph &graph) : graph(graph) {
  groups.push_back({"", 0, {}});
  std::map<std::vector<std::string>, unsigned> known;
  for (auto [i, node] : llvm::enumerate(graph.nodes)) {
    unsigned group = 0;
    std::vector<std::string> path;
    for (const std::string &name : node.groups) {
      path.push_back(name);
      auto [it, isNew] = known.try_emplace(path, groups.size());
      if (isNew) {
        groups[group].members.push_back({true, it->second});
        groups.push_back({name, group, {}});
      }
      group = it->second;
    }
    groups[group].members.push_back({false, unsigned(i)});
    nodeParents.push_back(group);
  }
  dissolveSmall(0);
  breakCycles(0);
}

std::vector<unsigned> Groups::pathOf(unsigned node) const {
  std::vector<unsigned> path{nodeParents[node]};
  while (path.back())
    path.push_back(groups[path.back()].parent);
  return path;
}

/// Its members become those of the group around it.
void Groups::dissolve(unsigned group) {
  unsigned parent = groups[group].parent;
  std::vector<Member> members;
  for (Member member : groups[parent].members) {
    if (!(member == Member{true, group})) {
      members.push_back(member);
      continue;
    }
    for (Member inner : groups[group].members) {
      members.push_back(inner);
      (inner.isGroup ? groups[inner.index].parent : nodeParents[inner.index]) =
          parent;
    }
  }
  groups[group].members.clear();
  groups[parent].members = members;
}

/// A group of one member says nothing, nor does one that is all there is.
void Groups::dissolveSmall(unsigned group) {
  for (Member member : std::vector<Member>(groups[group].members))
    if (member.isGroup)
      dissolveSmall(member.index);
  size_t numGroups = 0;
  for (Member member : std::vector<Member>(groups[group].members)) {
    if (!member.isGroup)
      continue;
    if (groups[member.index].members.size() < 2)
      dissolve(member.index);
    else
      ++numGroups;
  }
  // A model's name around everything but its inputs and outputs.
  if (group == 0 && numGroups == 1)
    for (Member member : std::vector<Member>(groups[group].members)) {
      bool isAll =
          member.isGroup && llvm::all_of(groups[0].members, [&](Member other) {
            return other == member ||
                   (!other.isGroup &&
                    graph.nodes[other.index].kind == Kind::Interface);
          });
      if (isAll)
        dissolve(member.index);
    }
}

bool Groups::findMember(unsigned group, unsigned node, Member &member) const {
  member = {false, node};
  while (parentOf(member) != group) {
    unsigned parent = parentOf(member);
    if (parent == 0)
      return false;
    member = {true, parent};
  }
  return true;
}

namespace {
/// Tarjan's algorithm: the strongly connected components of more than one
/// member.
class Components {
public:
  using Edges = std::map<Member, std::set<Member>>;
  explicit Components(const Edges &edges) : edges(edges) {}

  std::vector<std::vector<Member>> find(const std::vector<Member> &members) {
    for (Member member : members)
      if (!numbers.count(member))
        visit(member);
    return found;
  }

private:
  unsigned visit(Member member) {
    unsigned number = numbers[member] = numbers.size() + 1, low = number;
    stack.push_back(member);
    onStack.insert(member);
    if (auto it = edges.find(member); it != edges.end())
      for (Member next : it->second) {
        if (!numbers.count(next))
          low = std::min(low, visit(next));
        else if (onStack.count(next))
          low = std::min(low, numbers[next]);
      }
    if (low != number)
      return low;
    std::vector<Member> component;
    do {
      component.push_back(stack.back());
      onStack.erase(stack.back());
      stack.pop_back();
    } while (!(component.back() == member));
    if (component.size() > 1)
      found.push_back(component);
    return low;
  }

  const Edges &edges;
  std::map<Member, unsigned> numbers;
  std::vector<Member> stack;
  std::set<Member> onStack;
  std::vector<std::vector<Member>> found;
};
} // namespace

void Groups::breakCycles(unsigned group) {
  while (true) {
    Components::Edges edges;
    for (const Edge &edge : graph.edges) {
      Member from, to;
      if (findMember(group, edge.from, from) &&
          findMember(group, edge.to, to) && !(from == to))
        edges[from].insert(to);
    }
    auto cycles = Components(edges).find(groups[group].members);
    if (cycles.empty())
      break;
    for (const auto &cycle : cycles)
      for (Member member : cycle)
        if (member.isGroup)
          dissolve(member.index);
  }
  for (Member member : std::vector<Member>(groups[group].members))
    if (member.isGroup)
      breakCycles(member.index);
}
