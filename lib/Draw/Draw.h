/// \file
/// Draws a model as a graph: --dump-graph. The steps are: what is to be seen
/// (Extract.cpp), where it lies (Layout.cpp), and the file (Svg.cpp, Dot.cpp).
#ifndef DLC_LIB_DRAW_DRAW_H
#define DLC_LIB_DRAW_DRAW_H

#include "dlc/Api.h"
#include "mlir/IR/BuiltinOps.h"
#include <string>
#include <vector>

namespace dlc::draw {

/// What an operation is, which its colour tells.
enum class Kind {
  Interface,   ///< inputs and outputs
  Contraction, ///< convolutions, products
  Elementwise, ///< activations, arithmetic
  Reduction,   ///< normalisation, softmax, pools
  Layout,      ///< reshapes, transposes, slices, concatenations
  Indexing,    ///< gathers, scatters
  ControlFlow, ///< loops, branches
  Other,
};

/// What a kind is called in the legend, and its colour as "#rrggbb".
llvm::StringRef getKindName(Kind kind);
llvm::StringRef getKindColour(Kind kind);

struct Node {
  Kind kind;
  std::string label;                ///< "conv"
  std::string name;                 ///< in the model, below its groups
  std::string fullName;             ///< in the model
  std::vector<std::string> details; ///< constant operands and the like
  std::vector<std::string> groups;  ///< outermost first
};

/// A tensor that goes from one node to another.
struct Edge {
  unsigned from, to;
  std::string label; ///< "1x64x56x56", with the type where it is not f32
};

/// Nodes in topological order.
struct Graph {
  std::string title;
  std::vector<Node> nodes;
  std::vector<Edge> edges;
};

/// What is to be seen of a module in the phases onnx to tensor: the operations
/// of the main graph on tensors. Constants stand at the nodes that use them,
/// and what only computes sizes is left out.
Graph extractGraph(mlir::ModuleOp module);

void writeDot(llvm::raw_ostream &os, const Graph &graph);
/// With a layout of dlc's own: no other program is needed.
void writeSvg(llvm::raw_ostream &os, const Graph &graph);

/// Whether a file is one of those that can be written, by its extension: .svg,
/// .dot.
DLC_API bool isKnownFile(llvm::StringRef path);
/// Draws `module` in the format of the extension of `path`.
DLC_API void drawModule(llvm::raw_ostream &os, llvm::StringRef path,
                        mlir::ModuleOp module);

} // namespace dlc::draw

#endif
