/// \file
/// What operators that are expanded into their function bodies ask of their
/// inputs' shapes. A body alone would broadcast what does not fit.
#include "lib/OnnxReader/Model.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace dlc;
using namespace dlc::reader;

/// An attribute of a node.
static int64_t getInt(const pb::NodeProto &node, llvm::StringRef name,
                      int64_t otherwise) {
  for (const pb::AttributeProto &attribute : node.attribute())
    if (attribute.name() == name)
      return attribute.i();
  return otherwise;
}

static std::vector<std::string> rotaryShapes(const pb::NodeProto &node,
                                             int64_t rank) {
  bool hasPositions = node.input_size() > 3 && !node.input(3).empty();
  int64_t rotated = getInt(node, "rotary_embedding_dim", 0);
  int64_t heads = getInt(node, "num_heads", 0);
  std::string x = rank == 4
                      ? "batch_size, num_heads, sequence_length, head_size"
                      : "batch_size, sequence_length, hidden_size";
  std::string half;
  if (rotated > 0)
    half = std::to_string(rotated / 2);
  else if (rank == 4)
    half = "head_size / 2";
  else if (heads > 0)
    half = llvm::formatv("hidden_size / {0}", 2 * heads);
  else
    return {};
  std::string cache =
      (hasPositions ? "max_position, " : "batch_size, sequence_length, ") +
      half;
  return {x, cache, cache, "batch_size, sequence_length"};
}

static std::vector<std::string> attentionShapes(const pb::NodeProto &node,
                                                int64_t rank) {
  if (rank == 4)
    return {"batch_size, q_num_heads, q_sequence_length, head_size",
            "batch_size, kv_num_heads, kv_sequence_length, head_size",
            "batch_size, kv_num_heads, kv_sequence_length, v_head_size",
            "",
            "batch_size, kv_num_heads, past_sequence_length, head_size",
            "batch_size, kv_num_heads, past_sequence_length, v_head_size",
            "batch_size"};
  int64_t queries = getInt(node, "q_num_heads", 0);
  int64_t keys = getInt(node, "kv_num_heads", 0);
  if (queries < 1 || keys < 1 || queries % keys)
    return {};
  return {"batch_size, q_sequence_length, q_hidden_size",
          llvm::formatv("batch_size, kv_sequence_length, q_hidden_size / {0}",
                        queries / keys),
          "batch_size, kv_sequence_length, v_hidden_size",
          "",
          llvm::formatv("batch_size, {0}, past_sequence_length, "
                        "q_hidden_size / {1}",
                        keys, queries),
          llvm::formatv("batch_size, {0}, past_sequence_length, "
                        "v_hidden_size / {0}",
                        keys),
          "batch_size"};
}

/// The decay and the update rate may be one number a head, and are then
/// broadcast.
static std::vector<std::string>
linearAttentionShapes(const pb::NodeProto &node) {
  int64_t queries = getInt(node, "q_num_heads", 0);
  int64_t keys = getInt(node, "kv_num_heads", 0);
  if (queries < 1 || keys < 1 || queries % keys)
    return {};
  return {"batch_size, sequence_length, q_hidden_size",
          llvm::formatv("batch_size, sequence_length, q_hidden_size / {0}",
                        queries / keys),
          "batch_size, sequence_length, v_hidden_size",
          llvm::formatv("batch_size, {0}, q_hidden_size / {1}, "
                        "v_hidden_size / {0}",
                        keys, queries),
          "batch_size, sequence_length, decay_size",
          "batch_size, sequence_length, beta_size"};
}

/// Of inputs that all have the first one's shape.
static std::vector<std::string> equalShapes(int64_t count, int64_t rank) {
  std::vector<std::string> words;
  for (int64_t i = 0; i < rank; ++i)
    words.push_back(llvm::formatv("D{0}", i));
  return std::vector<std::string>(count, llvm::join(words, ", "));
}

/// Of the classes' scores [batch, classes, rest...], and a class for each.
static std::vector<std::string> lossShapes(int64_t rank) {
  std::string rest;
  for (int64_t i = 2; i < rank; ++i)
    rest += llvm::formatv(", D{0}", i - 1);
  return {"batch_size, classes" + rest, "batch_size" + rest, "classes"};
}

std::vector<std::string>
dlc::reader::expectedShapes(const pb::NodeProto &node,
                            const pb::TypeProto &firstInput) {
  if (!node.domain().empty() || !firstInput.has_tensor_type() ||
      !firstInput.tensor_type().has_shape())
    return {};
  int64_t rank = firstInput.tensor_type().shape().dim_size();
  if (node.op_type() == "RotaryEmbedding" && (rank == 3 || rank == 4))
    return rotaryShapes(node, rank);
  if (node.op_type() == "Attention" && (rank == 3 || rank == 4))
    return attentionShapes(node, rank);
  if ((node.op_type() == "NegativeLogLikelihoodLoss" ||
       node.op_type() == "SoftmaxCrossEntropyLoss") &&
      rank >= 2)
    return lossShapes(rank);
  if (node.op_type() == "LinearAttention" && rank == 3)
    return linearAttentionShapes(node);
  if (node.op_type() == "CausalConvWithState" && rank == 3)
    return {"batch_size, channels, length", "channels, 1, kernel_size",
            "channels", "batch_size, channels, kernel_size - 1"};
  if (node.op_type() == "SwiGLU" && rank > 0)
    return equalShapes(2, rank);
  return {};
}
