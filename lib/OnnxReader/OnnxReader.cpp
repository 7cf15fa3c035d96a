/// \file
/// The entry of the reader: file, checks, raising, module. No exception of
/// protobuf or of the ONNX library leaves it.
#include "lib/OnnxReader/OnnxReader.h"

#include "dialects/Onnx/Onnx.h"
#include "lib/OnnxReader/Model.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

using namespace mlir;
using namespace dlc;
using namespace dlc::reader;

/// Old files leave out the type of an attribute: it follows from the value.
static void setAttributeType(pb::AttributeProto &attribute) {
  using A = pb::AttributeProto;
  if (attribute.type() != A::UNDEFINED)
    return;
  attribute.set_type(attribute.has_f()               ? A::FLOAT
                     : attribute.has_i()             ? A::INT
                     : attribute.has_s()             ? A::STRING
                     : attribute.has_t()             ? A::TENSOR
                     : attribute.has_g()             ? A::GRAPH
                     : attribute.has_tp()            ? A::TYPE_PROTO
                     : attribute.has_sparse_tensor() ? A::SPARSE_TENSOR
                     : attribute.floats_size()       ? A::FLOATS
                     : attribute.ints_size()         ? A::INTS
                     : attribute.strings_size()      ? A::STRINGS
                     : attribute.tensors_size()      ? A::TENSORS
                     : attribute.graphs_size()       ? A::GRAPHS
                                                     : A::UNDEFINED);
}

static void
setAttributeTypes(google::protobuf::RepeatedPtrField<pb::NodeProto> &nodes) {
  for (pb::NodeProto &node : nodes)
    for (pb::AttributeProto &attribute : *node.mutable_attribute()) {
      setAttributeType(attribute);
      if (attribute.has_g())
        setAttributeTypes(*attribute.mutable_g()->mutable_node());
      for (pb::GraphProto &graph : *attribute.mutable_graphs())
        setAttributeTypes(*graph.mutable_node());
    }
}

static OwningOpRef<ModuleOp> read(Model &model,
                                  std::shared_ptr<llvm::MemoryBuffer> buffer,
                                  const ReadOptions &options) {
  if (failed(parseModel(model, std::move(buffer))))
    return {};
  setAttributeTypes(*model.proto.mutable_graph()->mutable_node());
  for (pb::FunctionProto &function : *model.proto.mutable_functions()) {
    setAttributeTypes(*function.mutable_node());
    for (pb::AttributeProto &attribute : *function.mutable_attribute_proto())
      setAttributeType(attribute);
  }
  markNodes(model);
  // The ONNX library's checker does not know stubs of sparse tensors.
  if (failed(loadTensors(model)) || (options.raise && failed(densify(model))) ||
      failed(sortNodes(model)) || failed(checkModel(model, options.raise)))
    return {};
  if (options.raise ? failed(raiseModel(model, options))
                    : failed(applyShapes(model, options)))
    return {};
  if (!options.raise && options.inferTypes) {
    // What contradicts itself stays without types.
    bool overridden = !options.shapes.empty() || !options.dims.empty();
    std::string why;
    (void)inferTypes(model, overridden, Strictness::Lenient, &why);
  }
  OwningOpRef<ModuleOp> module = buildModule(model);
  if (module && failed(verify(*module)))
    return {};
  return module;
}

/// Gives back the memory of a mapped file: its pages are read again when they
/// are used, and those of tensors that were copied for their alignment never
/// are. LLVM's `dontNeedIfMmap` does nothing with glibc.
static void releasePages(const llvm::MemoryBuffer &file) {
#ifdef __linux__
  if (file.getBufferKind() != llvm::MemoryBuffer::MemoryBuffer_MMap)
    return;
  uintptr_t page = llvm::sys::Process::getPageSizeEstimate();
  uintptr_t begin = llvm::alignDown(uintptr_t(file.getBufferStart()), page);
  madvise(reinterpret_cast<void *>(begin),
          uintptr_t(file.getBufferEnd()) - begin, MADV_DONTNEED);
#endif
}

/// `read` behind the barrier for exceptions.
static OwningOpRef<ModuleOp>
readSafely(Model &model, std::shared_ptr<llvm::MemoryBuffer> buffer,
           const ReadOptions &options) {
  model.context->getOrLoadDialect<ir::OnnxDialect>();
  try {
    return read(model, std::move(buffer), options);
  } catch (const std::bad_alloc &) {
    emitError(model.fileLoc(), "out of memory while reading the model");
  } catch (const std::exception &e) {
    emitError(model.fileLoc(), "cannot read the model: ") << describe(e.what());
  }
  return {};
}

OwningOpRef<ModuleOp> dlc::readOnnx(StringRef path, MLIRContext &context,
                                    const ReadOptions &options) {
  Model model;
  model.context = &context;
  model.fileName =
      path == "-" ? "<stdin>" : llvm::sys::path::filename(path).str();
  model.directory = llvm::sys::path::parent_path(path).str();
  auto buffer =
      llvm::MemoryBuffer::getFileOrSTDIN(path, /*IsText=*/false,
                                         /*RequiresNullTerminator=*/false);
  if (!buffer) {
    emitError(model.fileLoc(), "cannot read '")
        << path << "': " << buffer.getError().message();
    return {};
  }
  std::shared_ptr<llvm::MemoryBuffer> file = std::move(*buffer);
  OwningOpRef<ModuleOp> module = readSafely(model, file, options);
  releasePages(*file);
  return module;
}

OwningOpRef<ModuleOp> dlc::readOnnx(std::unique_ptr<llvm::MemoryBuffer> buffer,
                                    StringRef name, StringRef directory,
                                    MLIRContext &context,
                                    const ReadOptions &options) {
  Model model;
  model.context = &context;
  model.fileName = name.str();
  model.directory = directory.str();
  return readSafely(model, std::move(buffer), options);
}
