// The interface that makes an elementwise op one line of TableGen and one
// scalar expression.
#ifndef DLC_INTERFACES
#define DLC_INTERFACES

include "mlir/IR/OpBase.td"

def Dlc_ElementwiseInterface : OpInterface<"ElementwiseOp"> {
  let description = [{
    An op that computes each element of its result from the elements of its
    operands at the same (numpy-broadcast) position.
  }];
  let cppNamespace = "::dlc";
  let methods = [
    InterfaceMethod<[{
        Emits the scalar expression. `args` are signless scalars (or vectors
        of them); `isUnsigned` says that the operands' elements are unsigned
        integers.
      }],
      "::mlir::Value", "buildScalar",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::ValueRange":$args, "bool":$isUnsigned)>
  ];
}

#endif
