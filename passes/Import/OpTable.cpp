// The table of operators.

#include "passes/Import/OpTable.h"
#include "passes/Import/GraphImporter.h"
#include <map>

using namespace mlir;
using namespace dlc;

using Table = std::map<std::pair<StringRef, StringRef>, OpRow>;

static Table &getTable() {
  static Table table;
  return table;
}

OpRows::OpRows(std::initializer_list<OpRow> rows) {
  for (const OpRow &row : rows) {
    bool isNew = getTable().insert({{row.domain, row.name}, row}).second;
    assert(isNew && "two rows for one operator");
    (void)isNew;
  }
}

const OpRow *dlc::findOpRow(StringRef domain, StringRef name) {
  auto it = getTable().find({domain, name});
  return it == getTable().end() ? nullptr : &it->second;
}

const OpRow *dlc::findOpRow(MLIRContext &context, StringRef domain,
                            StringRef name) {
  if (const OpRow *row = findOpRow(domain, name))
    return row;
  return ContextRows::get(context).find(domain, name);
}

ContextRows &ContextRows::get(MLIRContext &context) {
  auto *dialect = context.getOrLoadDialect<DlcDialect>();
  if (auto *rows = dialect->getRegisteredInterface<ContextRows>())
    return *rows;
  return dialect->addInterface<ContextRows>();
}

const OpRow *ContextRows::find(StringRef domain, StringRef name) const {
  auto it = rows.find({domain.str(), name.str()});
  return it == rows.end() ? nullptr : &it->second;
}

void ContextRows::add(OpRow row, std::shared_ptr<const void> owner) {
  auto [it, isNew] =
      rows.try_emplace({row.domain.str(), row.name.str()}, OpRow());
  row.domain = it->first.first;
  row.name = it->first.second;
  it->second = std::move(row);
  owners.push_back(std::move(owner));
}

SmallVector<const OpRow *> dlc::listOpRows() {
  SmallVector<const OpRow *> rows;
  for (const auto &[key, row] : getTable())
    rows.push_back(&row);
  return rows;
}
