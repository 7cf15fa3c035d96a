/// \file
/// Remarks of passes: `--remarks=dlc-fuse-epilogue` prints them. They cost
/// nothing when nobody asks for them, their text included.
///
///   remarkDone(op->getLoc(), "dlc-fuse-epilogue") << "fused into ...";
#ifndef DLC_PASSES_REMARKS_H
#define DLC_PASSES_REMARKS_H

#include "mlir/IR/Remarks.h"

namespace dlc {

/// What a pass did.
inline mlir::remark::detail::InFlightRemark remarkDone(mlir::Location loc,
                                                       llvm::StringRef pass) {
  return mlir::remark::passed(
      loc, mlir::remark::RemarkOpts::name("done").category(pass));
}

/// What a pass would have liked to do; the text says why it did not.
inline mlir::remark::detail::InFlightRemark remarkMissed(mlir::Location loc,
                                                         llvm::StringRef pass) {
  return mlir::remark::missed(
      loc, mlir::remark::RemarkOpts::name("missed").category(pass));
}

/// What a pass looked at before it decided.
inline mlir::remark::detail::InFlightRemark
remarkAnalysed(mlir::Location loc, llvm::StringRef pass) {
  return mlir::remark::analysis(
      loc, mlir::remark::RemarkOpts::name("analysed").category(pass));
}

/// Whether to look for what was missed at all.
inline bool wantsRemarks(mlir::MLIRContext *context) {
  return context->getRemarkEngine();
}

/// The name of the node that a location stands for, of the first one where
/// several are fused; "" when it has none.
inline llvm::StringRef getNodeName(mlir::Location loc) {
  if (auto name = llvm::dyn_cast<mlir::NameLoc>(loc))
    return name.getName();
  if (auto fused = llvm::dyn_cast<mlir::FusedLoc>(loc))
    for (mlir::Location part : fused.getLocations())
      if (llvm::StringRef name = getNodeName(part); !name.empty())
        return name;
  return "";
}

} // namespace dlc

#endif
