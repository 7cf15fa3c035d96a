/// \file
/// The groups of a drawing as a tree in which each group is one box.
#ifndef DLC_LIB_DRAW_GROUPS_H
#define DLC_LIB_DRAW_GROUPS_H

#include "lib/Draw/Draw.h"

namespace dlc::draw {

/// A node or a group.
struct Member {
  bool isGroup;
  unsigned index;

  friend bool operator<(Member a, Member b) {
    return std::tie(a.isGroup, a.index) < std::tie(b.isGroup, b.index);
  }
  friend bool operator==(Member a, Member b) {
    return a.isGroup == b.isGroup && a.index == b.index;
  }
};

struct Group {
  std::string label;
  unsigned parent; ///< group 0, the whole drawing, is its own
  std::vector<Member> members;
};

/// Groups of two nodes and more. None has an edge out of it that comes back
/// through others, so that there is an order of the members of each.
class Groups {
public:
  explicit Groups(const Graph &graph);

  const std::vector<Group> &all() const { return groups; }
  unsigned parentOf(Member member) const {
    return member.isGroup ? groups[member.index].parent
                          : nodeParents[member.index];
  }
  /// The groups of a node, innermost first, group 0 last.
  std::vector<unsigned> pathOf(unsigned node) const;

private:
  void dissolve(unsigned group);
  void dissolveSmall(unsigned group);
  void breakCycles(unsigned group);
  /// The member of `group` that a node is in or is; false when it is outside.
  bool findMember(unsigned group, unsigned node, Member &member) const;

  const Graph &graph;
  std::vector<Group> groups;
  std::vector<unsigned> nodeParents;
};

} // namespace dlc::draw

#endif
