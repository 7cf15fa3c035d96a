// dlc.winograd_weights: verifier, effects.
#include "dialects/Dlc/Destination.h"
#include "lib/Kernels/Fourier.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace dlc;

MutableOperandRange WinogradWeightsOp::getDpsInitsMutable() {
  return getInitMutable();
}

void WinogradWeightsOp::getEffects(
    SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>
        &effects) {
  if (!isa<BaseMemRefType>(getInit().getType()))
    return;
  effects.emplace_back(MemoryEffects::Read::get(), &getWeightsMutable());
  effects.emplace_back(MemoryEffects::Write::get(), &getInitMutable());
}

int64_t WinogradAttr::getProductHeight() const {
  if (!isFourier())
    return getTileHeight();
  return FourierLayout(getTileHeight(), getTileWidth(), getPair()).planes();
}

LogicalResult dlc::verifyFourier(function_ref<InFlightDiagnostic()> emitError,
                                 WinogradAttr form) {
  int64_t pair = form.getPair();
  if (pair == 0)
    return success();
  if (pair != 2 && pair != 3)
    return emitError() << "expected 2 or 3 numbers for a complex one in "
                       << form << ", found " << pair;
  for (int64_t size : {form.getTileHeight(), form.getTileWidth()})
    if (!llvm::isPowerOf2_64(size))
      return emitError() << "expected a power of two as the size of a tile in "
                         << form << ", found " << size;
  return success();
}

LogicalResult WinogradWeightsOp::verify() {
  auto weights = cast<ShapedType>(getWeights().getType());
  auto init = cast<ShapedType>(getInit().getType());
  bool isTensor = isa<TensorType>(init);
  if (isa<TensorType>(weights) != isTensor)
    return emitOpError(
               "expected both operands to be tensors or memrefs, found ")
           << weights << " and " << init;
  if (bool(getResult()) != isTensor)
    return emitOpError(isTensor ? "expected a result for tensors"
                                : "expected no result for memrefs");
  if (isTensor && getResult().getType() != init)
    return emitOpError("expected a result of init's type ")
           << init << ", found " << getResult().getType();
  if (!weights.getElementType().isF32() || !init.getElementType().isF32())
    return emitOpError("expected elements of f32, found ")
           << weights << " and " << init;
  if (!weights.hasStaticShape() || !init.hasStaticShape() ||
      weights.getRank() != init.getRank())
    return emitOpError("expected static shapes of one rank, found ")
           << weights << " and " << init;
  int64_t rank = weights.getRank(), y = getY(), x = getX();
  if (y < 0 || x < 0 || y >= rank || x >= rank || x == y)
    return emitOpError("expected two dimensions of the ")
           << rank << " of the weights, found " << y << " and " << x;
  WinogradAttr form = getWinograd();
  if (failed(verifyFourier([&] { return emitOpError(); }, form)))
    return failure();
  for (int64_t i = 0; i < rank; ++i) {
    int64_t from = i == y   ? form.getWindowHeight()
                   : i == x ? form.getWindowWidth()
                            : weights.getDimSize(i);
    int64_t to = i == y   ? form.getProductHeight()
                 : i == x ? form.getProductWidth()
                          : from;
    if (weights.getDimSize(i) != from || init.getDimSize(i) != to)
      return emitOpError("expected dimension ")
             << i << " to become " << to << " of " << from << ", found "
             << init.getDimSize(i) << " of " << weights.getDimSize(i);
  }
  return success();
}
