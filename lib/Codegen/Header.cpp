// Writes the C header of a model.
#include "lib/Codegen/Header.h"
#include "dlc/Model.h"
#include "lib/Runtime/Bitcode.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace dlc;

namespace {
struct CType {
  StringRef type; // of one element
  StringRef note; // for the comment, where the type does not say it
};
} // namespace

static CType cType(int32_t dtype) {
  switch (dtype) {
  case DLC_FLOAT32:
    return {"float", ""};
  case DLC_FLOAT64:
    return {"double", ""};
  case DLC_UINT8:
    return {"uint8_t", ""};
  case DLC_INT8:
    return {"int8_t", ""};
  case DLC_UINT16:
    return {"uint16_t", ""};
  case DLC_INT16:
    return {"int16_t", ""};
  case DLC_UINT32:
    return {"uint32_t", ""};
  case DLC_INT32:
    return {"int32_t", ""};
  case DLC_UINT64:
    return {"uint64_t", ""};
  case DLC_INT64:
    return {"int64_t", ""};
  case DLC_STRING:
    return {"char *", "string"};
  case DLC_BOOL:
    return {"uint8_t", "bool, 0 or 1"};
  case DLC_FLOAT16:
    return {"uint16_t", "float16 bits"};
  case DLC_BFLOAT16:
    return {"uint16_t", "bfloat16 bits"};
  case DLC_COMPLEX64:
    return {"float", "complex64, two floats an element"};
  case DLC_COMPLEX128:
    return {"double", "complex128, two doubles an element"};
  case DLC_FLOAT8E4M3FN:
    return {"uint8_t", "float8e4m3fn bits"};
  case DLC_FLOAT8E4M3FNUZ:
    return {"uint8_t", "float8e4m3fnuz bits"};
  case DLC_FLOAT8E5M2:
    return {"uint8_t", "float8e5m2 bits"};
  case DLC_FLOAT8E5M2FNUZ:
    return {"uint8_t", "float8e5m2fnuz bits"};
  case DLC_FLOAT8E8M0:
    return {"uint8_t", "float8e8m0 bits"};
  case DLC_FLOAT4E2M1:
    return {"uint8_t", "float4e2m1, one element a byte"};
  case DLC_FLOAT6E2M3:
    return {"uint8_t", "float6e2m3, one element a byte"};
  case DLC_FLOAT6E3M2:
    return {"uint8_t", "float6e3m2, one element a byte"};
  case DLC_UINT4:
    return {"uint8_t", "uint4, one element a byte"};
  case DLC_INT4:
    return {"uint8_t", "int4 in the low bits, one element a byte"};
  case DLC_UINT2:
    return {"uint8_t", "uint2, one element a byte"};
  case DLC_INT2:
    return {"uint8_t", "int2 in the low bits, one element a byte"};
  }
  return {"void", "unknown"};
}

/// A name of the model inside a C comment: printable, and not ending it.
static std::string inComment(StringRef name) {
  std::string result;
  for (char c : name) {
    if (c == '/' && !result.empty() && result.back() == '*')
      result += ' ';
    result += isPrint(c) && c != '\\' ? c : '?';
    if (c == '*' && result.size() > 1 && result[result.size() - 2] == '/')
      result.insert(result.size() - 1, " ");
  }
  return result;
}

/// "[batch,3,?]"
static std::string shapeText(const TensorInterface &tensor) {
  std::string text = "[";
  for (auto [i, dim] : enumerate(tensor.dims)) {
    if (i)
      text += ",";
    StringRef name = tensor.dimNames[i];
    text +=
        dim >= 0 ? std::to_string(dim) : (name.empty() ? "?" : inComment(name));
  }
  return text + "]";
}

static std::string declare(const ModelInterface &model,
                           const StructField &field, bool isInput) {
  const TensorInterface &tensor =
      (isInput ? model.inputs : model.outputs)[field.tensor];
  switch (field.kind) {
  case StructField::Pointer: {
    if (!tensor.isTensor()) {
      StringRef type = !(tensor.dtype & DLC_MAP)     ? "dlc_sequence"
                       : tensor.dtype & DLC_SEQUENCE ? "dlc_maps"
                                                     : "dlc_map";
      return formatv("{0}{1} *{2};", isInput ? "const " : "", type,
                     field.cName);
    }
    CType type = cType(tensor.dtype);
    StringRef star = tensor.dtype == DLC_STRING ? "" : " ";
    if (tensor.dtype == DLC_STRING)
      return formatv("const char *{0}*{1};", isInput ? "const " : "",
                     field.cName);
    return formatv("{0}{1}{2}*{3};", isInput ? "const " : "", type.type, star,
                   field.cName);
  }
  case StructField::Dim:
    return formatv("int64_t {0};", field.cName);
  case StructField::Capacity:
    return formatv("size_t {0};", field.cName);
  case StructField::Shape:
    return formatv("int64_t {0}[{1}];", field.cName, tensor.dims.size());
  }
  return "";
}

static std::string comment(const ModelInterface &model,
                           const StructField &field, bool isInput) {
  const TensorInterface &tensor =
      (isInput ? model.inputs : model.outputs)[field.tensor];
  switch (field.kind) {
  case StructField::Pointer: {
    CType type = cType(tensor.dtype & 0xff);
    std::string text;
    if (tensor.isTensor()) {
      text = shapeText(tensor);
      if (!type.note.empty())
        text += (" " + type.note).str();
    } else {
      text = tensor.dtype & DLC_OPTIONAL ? "optional " : "";
      text += tensor.dtype & DLC_SEQUENCE ? "sequence of " : "";
      if (tensor.dtype & DLC_MAP) {
        text += tensor.dtype & DLC_SEQUENCE ? "maps from " : "map from ";
        text += tensor.dtype & DLC_STRING_KEYS ? "string to " : "int64_t to ";
      }
      text += (type.note.empty() ? type.type : type.note).str();
    }
    if (tensor.cName != tensor.name)
      text += " \"" + inComment(tensor.name) + "\"";
    if (!isInput && tensor.isDynamic())
      text += "; NULL: the run allocates it, you free it";
    if (!isInput && !tensor.isTensor())
      text += "; the run fills it, you free its items";
    else if (!isInput && tensor.dtype == DLC_STRING)
      text += tensor.isDynamic() ? "; given: you free its first string"
                                 : "; you free its first string";
    return text;
  }
  case StructField::Dim: {
    std::string name = inComment(tensor.dimNames[field.dim]);
    std::string text = formatv("dimension {0} of {1}", field.dim, tensor.cName);
    if (!name.empty() && name != field.cName)
      text += " \"" + name + "\"";
    if (tensor.dimMin[field.dim] > 0)
      text += formatv(", at least {0}", tensor.dimMin[field.dim]);
    if (tensor.dimMax[field.dim] >= 0)
      text += formatv(", at most {0}", tensor.dimMax[field.dim]);
    return text;
  }
  case StructField::Capacity:
    return "bytes at " + tensor.cName;
  case StructField::Shape:
    return "set by the run, and by " + model.name + "_shapes";
  }
  return "";
}

static void writeStruct(raw_ostream &os, const ModelInterface &model,
                        bool isInput) {
  const auto &fields = isInput ? model.inputFields : model.outputFields;
  size_t width = 0;
  std::vector<std::string> lines;
  for (const StructField &field : fields) {
    lines.push_back(declare(model, field, isInput));
    width = std::max(width, lines.back().size());
  }
  os << "typedef struct {\n";
  for (auto [line, field] : zip(lines, fields))
    os << "  " << left_justify(line, width) << " /* "
       << comment(model, field, isInput) << " */\n";
  if (fields.empty())
    os << "  char unused; /* the model has no "
       << (isInput ? "inputs" : "outputs") << " */\n";
  os << "} " << model.name << (isInput ? "_inputs" : "_outputs") << ";\n\n";
}

/// Only where there is something to ask for.
static std::string shapesCall(const ModelInterface &model) {
  if (!model.hasDynamicOutput())
    return "";
  return formatv("/* Sets the shapes in `out` for the dimensions in `in`, "
                 "without a run; -1 where\n   a size depends on data. No "
                 "pointer to data is read. Returns a dlc_status. */\n"
                 "int {0}_shapes(const {0}_inputs *in, {0}_outputs *out,\n"
                 "    const dlc_options *options);\n\n",
                 model.name);
}

/// Only with code for a GPU.
static std::string deviceCalls(const ModelInterface &model) {
  if (!model.hasDevice)
    return "";
  return formatv(
      "/* Waits for the runs on the GPU `options->device`, or only those in "
      "the stream\n   `options->stream` where it is given, that were "
      "asynchronous. `options` may be\n   NULL. Returns a dlc_status. */\n"
      "int {0}_synchronize(const dlc_options *options);\n\n"
      "/* Gives back the memory and code that the model keeps on GPUs. No run "
      "may be\n   going on; the next one begins anew. `options` may be NULL. "
      "Returns a\n   dlc_status. */\n"
      "int {0}_release(const dlc_options *options);\n\n",
      model.name);
}

std::string dlc::generateHeader(const ModelInterface &model, StringRef target) {
  std::string text;
  raw_string_ostream os(text);
  std::string upper = StringRef(model.name).upper();
  os << formatv("/* {0}.h: made by dlc together with the object for {1}.\n"
                "   C99 and C++; needs no other file of dlc's. */\n"
                "#ifndef {0}_MODEL_H\n#define {0}_MODEL_H\n\n",
                model.name, target);
  os << modelHeader() << "\n";
  os << "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n"
     << "/* Bytes that dlc_options.workspace must have. */\n"
     << formatv("#define {0}_WORKSPACE_SIZE {1}\n\n", upper, model.workspace)
     << "/* Bytes that it should have more for each thread beyond the first. "
        "*/\n"
     << formatv("#define {0}_THREAD_WORKSPACE_SIZE {1}\n\n", upper,
                model.threadWorkspace)
     << "/* Bytes that dlc_options.state must have, if you give one. */\n"
     << formatv("#define {0}_STATE_SIZE {1}\n\n", upper, model.stateSize);
  writeStruct(os, model, /*isInput=*/true);
  writeStruct(os, model, /*isInput=*/false);
  os << "/* Runs the model once. Returns 0 (DLC_OK) or another dlc_status.\n"
     << "   `options` may be NULL. Several threads may run it at once. */\n"
     << formatv("int {0}_run(const {0}_inputs *in, {1}{0}_outputs *out,\n"
                "    const dlc_options *options);\n\n",
                model.name, model.hasDynamicOutput() ? "" : "const ")
     << shapesCall(model)
     << "/* Makes, before the first run, the constants that the object does "
        "not "
        "hold: in\n   `options->state`, which may then be given to any number "
        "of runs, or for the\n   whole process, as the first run would. "
        "`options` may be NULL. Returns a\n   dlc_status. */\n"
     << formatv("int {0}_init(const dlc_options *options);\n\n", model.name)
     << deviceCalls(model)
     << "/* Names, types, shapes and a run for programs that do not know the\n"
     << "   model beforehand. */\n"
     << formatv("const dlc_model *{0}_model(void);\n\n", model.name)
     << "/* What a status means, in words. */\n"
     << formatv("const char *{0}_status_string(int status);\n\n", model.name)
     << "#ifdef __cplusplus\n}\n#endif\n"
     << formatv("#endif /* {0}_MODEL_H */\n", model.name);
  return text;
}
