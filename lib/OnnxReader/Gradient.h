/// \file
/// What the derivatives of single operators are built with.
#ifndef DLC_LIB_ONNXREADER_GRADIENT_H
#define DLC_LIB_ONNXREADER_GRADIENT_H

#include "lib/OnnxReader/Model.h"

namespace dlc::reader {

/// A node on the way from the variables to the result, and the derivative of
/// the result with respect to its output. The methods that are named after
/// operators add a node in front of the Gradient and return its output.
class Derivation {
public:
  Derivation(const pb::NodeProto &node, std::string derivative,
             const llvm::StringMap<pb::TypeProto> &types,
             llvm::function_ref<std::string()> newName,
             std::vector<pb::NodeProto> &added)
      : node(node), g(std::move(derivative)), types(types), newName(newName),
        added(added) {}

  const pb::NodeProto &node;
  std::string g;

  const std::string &x(int i) const { return node.input(i); }
  const std::string &y() const { return node.output(0); }
  /// nullopt where the rank is not known.
  std::optional<int> rankOf(llvm::StringRef value) const;
  bool isFloat(llvm::StringRef value) const;

  std::string make(llvm::StringRef op, std::vector<std::string> inputs,
                   llvm::ArrayRef<pb::AttributeProto> attributes = {});
  std::string mul(std::string a, std::string b) { return make("Mul", {a, b}); }
  std::string neg(std::string a) { return make("Neg", {a}); }
  /// A number of the type of `like`.
  std::string number(double value, std::string like);
  std::string ints(llvm::ArrayRef<int64_t> values);
  /// `a` in the shape of `like`, which has as many elements.
  std::string reshapeLike(std::string a, std::string like);
  /// `a` repeated to the shape of `like`.
  std::string expandLike(std::string a, std::string like);
  /// `a` summed over what broadcasting has repeated `like` along; `of` is the
  /// value whose type and rank `a` has. Empty where ranks are not known.
  std::string sumTo(std::string a, std::string like, llvm::StringRef of);
  /// With the last two dimensions of a value of this rank exchanged.
  std::string transpose(std::string a, int rank);

  static pb::AttributeProto attribute(llvm::StringRef name, int64_t value);
  static pb::AttributeProto attribute(llvm::StringRef name, float value);
  static pb::AttributeProto attribute(llvm::StringRef name,
                                      llvm::ArrayRef<int64_t> values);
  const pb::AttributeProto *find(llvm::StringRef name) const;
  int64_t getInt(llvm::StringRef name, int64_t otherwise) const;
  float getFloat(llvm::StringRef name, float otherwise) const;

private:
  const llvm::StringMap<pb::TypeProto> &types;
  llvm::function_ref<std::string()> newName;
  std::vector<pb::NodeProto> &added;
};

/// The derivatives with respect to the inputs of a node, "" for one that has
/// none; nullopt where the operator's is not known, with the reason.
std::optional<std::vector<std::string>> derive(Derivation &d, std::string &why);

} // namespace dlc::reader

#endif
