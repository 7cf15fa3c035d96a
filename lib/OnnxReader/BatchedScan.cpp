/// \file
/// The Scan of operator set 8, with a batch in front of every input and output,
/// as today's: a Scan over the rows of the batch, of one Scan a row.
///
/// Before: `Scan(lens, state, x) {body, directions}`, after:
/// ```
/// Scan(lens, state, x) {num_scan_inputs = 3, body = (len, s, row) {
///   t, y = Scan(s, Slice(row, [0], len, [0])) {body, scan_input_directions}
///   return t, Pad(y, [0, Shape(row)[0] - len], axes = [0])
/// }}
/// ```
/// Without lens there is neither a Slice nor a Pad.
#include "lib/OnnxReader/Model.h"

using namespace dlc::reader;

using Nodes = google::protobuf::RepeatedPtrField<pb::NodeProto>;

/// The first operator sets that have a Scan without batch, and a Pad with axes.
static constexpr int kScanOpset = 9, kPadOpset = 18;

static pb::AttributeProto *
addAttribute(pb::NodeProto &node, llvm::StringRef name,
             pb::AttributeProto::AttributeType type) {
  pb::AttributeProto *attribute = node.add_attribute();
  attribute->set_name(name.str());
  attribute->set_type(type);
  return attribute;
}

namespace {

/// Makes the outer Scan of one.
class Batch {
public:
  Batch(const pb::NodeProto &scan) : scan(scan), prefix(scan.output(0)) {}

  /// False where an attribute is missing.
  bool read() {
    for (const pb::AttributeProto &attribute : scan.attribute())
      if (attribute.name() == "body" && attribute.has_g())
        body = &attribute.g();
      else if (attribute.name() == "num_scan_inputs")
        numScanned = int(attribute.i());
      else if (attribute.name() == "directions")
        directions.assign(attribute.ints().begin(), attribute.ints().end());
    numStates = scan.input_size() - 1 - numScanned;
    return body && numScanned > 0 && numStates >= 0 &&
           body->input_size() == numStates + numScanned &&
           body->output_size() == scan.output_size();
  }
  bool hasLengths() const { return !scan.input(0).empty(); }

  pb::NodeProto make() {
    pb::NodeProto outer = start("Scan");
    pb::GraphProto rows;
    rows.set_name(body->name() + ".rows");
    pb::NodeProto inner = start("Scan");
    std::string length = prefix + ".length", ends = prefix + ".end";
    if (hasLengths()) {
      outer.add_input(scan.input(0));
      pb::ValueInfoProto *value = rows.add_input();
      value->set_name(length);
      value->mutable_type()->mutable_tensor_type()->set_elem_type(
          pb::TensorProto::INT64);
      value->mutable_type()->mutable_tensor_type()->mutable_shape();
      ints(rows, {0}, ".zero");
      ints(rows, {-1}, ".one");
      add(rows, "Reshape", {length, prefix + ".one"}, ends);
    }
    std::string firstRow;
    for (int i = 0; i < numStates + numScanned; ++i) {
      outer.add_input(scan.input(i + 1));
      std::string row = prefix + ".row" + std::to_string(i);
      pb::ValueInfoProto *value = rows.add_input();
      value->set_name(row);
      *value->mutable_type() = body->input(i).type();
      if (i >= numStates) {
        // A sequence of what the body sees.
        value->mutable_type()->mutable_tensor_type()->clear_shape();
        if (firstRow.empty())
          firstRow = row;
        if (hasLengths())
          row = add(rows, "Slice",
                    {row, prefix + ".zero", ends, prefix + ".zero"},
                    row + ".part");
      }
      inner.add_input(row);
    }
    addAttribute(inner, "num_scan_inputs", pb::AttributeProto::INT)
        ->set_i(numScanned);
    *addAttribute(inner, "body", pb::AttributeProto::GRAPH)->mutable_g() =
        *body;
    if (!directions.empty())
      addAttribute(inner, "scan_input_directions", pb::AttributeProto::INTS)
          ->mutable_ints()
          ->Add(directions.begin(), directions.end());
    for (int i = 0; i < scan.output_size(); ++i)
      inner.add_output(prefix + ".result" + std::to_string(i));
    *rows.add_node() = inner;
    if (hasLengths()) {
      pb::NodeProto &shape = *rows.add_node();
      shape = start("Shape");
      shape.add_input(firstRow);
      shape.add_output(prefix + ".whole");
      addAttribute(shape, "end", pb::AttributeProto::INT)->set_i(1);
      add(rows, "Sub", {prefix + ".whole", ends}, prefix + ".rest");
      pb::NodeProto &pads = *rows.add_node();
      pads = start("Concat");
      pads.add_input(prefix + ".zero");
      pads.add_input(prefix + ".rest");
      pads.add_output(prefix + ".pads");
      addAttribute(pads, "axis", pb::AttributeProto::INT)->set_i(0);
    }
    for (int i = 0; i < scan.output_size(); ++i) {
      std::string result = inner.output(i);
      pb::ValueInfoProto *value = rows.add_output();
      *value->mutable_type() = body->output(i).type();
      if (i >= numStates) {
        value->mutable_type()->mutable_tensor_type()->clear_shape();
        if (hasLengths())
          result =
              add(rows, "Pad", {result, prefix + ".pads", "", prefix + ".zero"},
                  result + ".padded");
      }
      value->set_name(result);
      outer.add_output(scan.output(i));
    }
    addAttribute(outer, "num_scan_inputs", pb::AttributeProto::INT)
        ->set_i(outer.input_size());
    addAttribute(outer, "body", pb::AttributeProto::GRAPH)
        ->mutable_g()
        ->Swap(&rows);
    return outer;
  }

private:
  /// A node that stands for a part of the Scan.
  pb::NodeProto start(const char *op) const {
    pb::NodeProto node;
    node.set_op_type(op);
    node.set_name(scan.name());
    node.set_doc_string(scan.doc_string());
    return node;
  }
  std::string add(pb::GraphProto &graph, const char *op,
                  std::vector<std::string> inputs, std::string output) const {
    pb::NodeProto &node = *graph.add_node();
    node = start(op);
    for (std::string &input : inputs)
      node.add_input(std::move(input));
    node.add_output(output);
    return output;
  }
  void ints(pb::GraphProto &graph, std::vector<int64_t> values,
            const char *word) const {
    pb::NodeProto &node = *graph.add_node();
    node = start("Constant");
    node.add_output(prefix + word);
    addAttribute(node, "value_ints", pb::AttributeProto::INTS)
        ->mutable_ints()
        ->Add(values.begin(), values.end());
  }

  const pb::NodeProto &scan;
  std::string prefix;
  const pb::GraphProto *body = nullptr;
  int numScanned = 0, numStates = 0;
  std::vector<int64_t> directions;
};

} // namespace

void dlc::reader::fixBatchedScan(Nodes &nodes, int opset) {
  for (pb::NodeProto &node : nodes) {
    for (pb::AttributeProto &attribute : *node.mutable_attribute())
      if (attribute.has_g())
        fixBatchedScan(*attribute.mutable_g()->mutable_node(), opset);
    if (!node.domain().empty() || node.op_type() != "Scan" ||
        node.input_size() == 0)
      continue;
    Batch batch(node);
    if (batch.read() &&
        opset >= (batch.hasLengths() ? kPadOpset : kScanOpset)) {
      pb::NodeProto outer = batch.make();
      node.Swap(&outer);
    }
  }
}
