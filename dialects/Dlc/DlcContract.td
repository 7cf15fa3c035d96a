// The contraction op: what matmul and conv become, with everything
// elementwise that follows in its epilogue.
#ifndef DLC_CONTRACT
#define DLC_CONTRACT

include "dialects/Dlc/DlcBase.td"
include "mlir/IR/EnumAttr.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"

def Dlc_WinogradAttr : Dlc_Attr<"Winograd", "winograd"> {
  let summary = "a convolution by transforms of tiles, F(height x width, window)";
  let description = [{
    `height` x `width` outputs a tile from windows of `windowHeight` x
    `windowWidth`; `tiles` of them go through the kernel at a time.

    The transforms are Winograd's. With a `pair` they are Fourier's, and so many
    numbers stand for a complex one (lib/Kernels/Fourier.h): 3 where products
    are summed over channels, 2 channel by channel, where `tiles` is 1.
  }];
  let parameters = (ins "int64_t":$height, "int64_t":$width,
                        "int64_t":$windowHeight, "int64_t":$windowWidth,
                        "int64_t":$tiles,
                        DefaultValuedParameter<"int64_t", "0">:$pair);
  let assemblyFormat = "`<` struct(params) `>`";
  let extraClassDeclaration = [{
    bool isFourier() const { return getPair() != 0; }
    /// The inputs of a tile in each dimension.
    int64_t getTileHeight() const { return getHeight() + getWindowHeight() - 1; }
    int64_t getTileWidth() const { return getWidth() + getWindowWidth() - 1; }
    /// The products of a tile, in two dimensions or, of Fourier's form, in one.
    int64_t getProductHeight() const;
    int64_t getProductWidth() const { return isFourier() ? 1 : getTileWidth(); }
    int64_t getProducts() const {
      return getProductHeight() * getProductWidth();
    }
  }];
}

def Dlc_DotAttr : Dlc_Attr<"Dot", "dot"> {
  let summary = "the form of a contraction of bytes or bfloat16, for dot products";
  let description = [{
    With `flip`, the top bit of A's elements, bytes, is inverted before they are
    extended, which makes of a signed number n the unsigned n + 128 and the
    other way about: for instructions that take one kind only.

    With a `group` above 1, B holds groups of so many elements that lie one
    after the other along the innermost summed dimension, k, padded with zeros
    to whole groups: its map ends with `k mod group` and has `k floordiv
    group`. `extent` is that of k.
  }];
  let parameters = (ins "bool":$flip, DefaultValuedParameter<"int64_t", "1">:$group,
                        DefaultValuedParameter<"int64_t", "0">:$extent);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Dlc_Precision : I32EnumAttr<"Precision", "what operands are rounded to", [
    I32EnumAttrCase<"TF32", 0, "tf32">, I32EnumAttrCase<"BF16", 1, "bf16">,
    I32EnumAttrCase<"FP16", 2, "fp16">]> {
  let cppNamespace = "::dlc";
}

def Dlc_ContractOp : Dlc_Op<"contract", [
    IsolatedFromAbove, SingleBlock, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<DestinationStyleOpInterface>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "sum of products over reduction dimensions, with an epilogue";
  let description = [{
    `C[c(d)] = epilogue(sum_k A[a(d)] * B[b(d)], extras[e(d)]...)`

    The maps are those of `linalg.generic`: from the iteration space to each
    of A, B, the extras and C, in this order. A dimension in A and C is a row
    (M), in B and C a column (N), in all three a batch; one that is not in C
    is summed over (K). A's and B's maps may be any linear expressions with
    non-negative coefficients (the window of a convolution); B's may be packed
    in panels of columns, `(n floordiv 64, k..., n mod 64)`, padded with zeros
    to whole panels; C's is a projected permutation, the extras' are made of
    dimensions and constants.

    The sum has the type of the epilogue's first argument; the others are the
    extras' elements. `aUnsigned` and `bUnsigned` say how integers are
    extended to it, `dot` how bytes are arranged. The epilogue's ops have no
    side effects. Every element of the init operand is written, and none is
    read; where it is known to have none, it is the result.

    With `precision`, a kernel may round elements of A and B to that type before
    it multiplies them; sums stay as they are.

    Along the dimensions of A that `zeroOutside` names, an index is `row * s +
    window * d - low`, where `window` is summed over, and A counts as zero
    where that is none of its own: the padding of a convolution that is not
    in memory.

    With `winograd`, the op is a convolution of stride 1 whose B holds the
    transformed weights: its two window dimensions have the extents of a tile's
    products instead of a window. `scratch` is memory for a kernel that needs
    some beside its operands.

    ```mlir
    %r = dlc.contract %a, %b extras %bias : tensor<8xf32> outs %init
        [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>,
         affine_map<(m, n, k) -> (n)>, affine_map<(m, n, k) -> (m, n)>]
        : tensor<4x6xf32>, tensor<6x8xf32>, tensor<4x8xf32> -> tensor<4x8xf32> {
    ^bb0(%sum: f32, %e: f32):
      %0 = arith.addf %sum, %e : f32
      dlc.yield %0 : f32
    }
    ```
  }];
  let arguments = (ins AnyShaped:$a, AnyShaped:$b, Variadic<AnyShaped>:$extras,
                       AnyShaped:$init, Optional<AnyMemRef>:$scratch,
                       AffineMapArrayAttr:$indexingMaps,
                       UnitAttr:$aUnsigned, UnitAttr:$bUnsigned,
                       OptionalAttr<Dlc_WinogradAttr>:$winograd,
                       OptionalAttr<Dlc_DotAttr>:$dot,
                       OptionalAttr<Dlc_Precision>:$precision,
                       OptionalAttr<DenseI64ArrayAttr>:$zeroOutside);
  let results = (outs Optional<AnyRankedTensor>:$result);
  let regions = (region SizedRegion<1>:$epilogue);
  let skipDefaultBuilders = 1;
  let builders = [
    /// Of tensors or memrefs, as `init` is. The epilogue is left to the caller.
    OpBuilder<(ins "::mlir::Value":$a, "::mlir::Value":$b,
                   "::mlir::ValueRange":$extras, "::mlir::Value":$init,
                   "::llvm::ArrayRef<::mlir::AffineMap>":$maps,
                   CArg<"bool", "false">:$aUnsigned,
                   CArg<"bool", "false">:$bUnsigned,
                   CArg<"DotAttr", "{}">:$dot,
                   CArg<"PrecisionAttr", "{}">:$precision)>,
    /// With all attributes of `like` but its maps.
    OpBuilder<(ins "ContractOp":$like, "::mlir::Value":$a, "::mlir::Value":$b,
                   "::mlir::ValueRange":$extras, "::mlir::Value":$init,
                   "::llvm::ArrayRef<::mlir::AffineMap>":$maps)>];
  let hasCanonicalizeMethod = 1;
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let assemblyFormat = [{
    $a `,` $b (`extras` $extras^ `:` type($extras))? `outs` $init
    (`scratch` $scratch^ `:` type($scratch))? $indexingMaps attr-dict
    `:` type($a) `,` type($b) `,` type($init) (`->` type($result)^)? $epilogue
  }];
  let extraClassDeclaration = [{
    /// What an iteration dimension is: in A, B and C; in A and C (or in C
    /// alone); in B and C; not in C.
    enum class DimKind { Batch, Row, Column, Sum };

    ::mlir::AffineMap getMap(unsigned operand) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getIndexingMaps()[operand])
          .getValue();
    }
    ::mlir::AffineMap getAMap() { return getMap(0); }
    ::mlir::AffineMap getBMap() { return getMap(1); }
    ::mlir::AffineMap getExtraMap(unsigned i) { return getMap(2 + i); }
    ::mlir::AffineMap getCMap() { return getMap(getIndexingMaps().size() - 1); }

    unsigned getNumDims() { return getAMap().getNumDims(); }
    DimKind getDimKind(unsigned dim);
    /// The dimensions of one kind, in the order of the iteration space.
    ::llvm::SmallVector<unsigned> getDims(DimKind kind);
    /// An operand and a position in its shape that hold the extent of `dim`
    /// (a static one where there is one); null for the grouped dimension.
    ::std::pair<::mlir::Value, unsigned> getExtent(unsigned dim);
    /// The summed dimension along which B is grouped, or nothing.
    ::std::optional<unsigned> getGroupedDim();
    /// The extent of `dim` at the builder's insertion point.
    ::mlir::Value createExtent(::mlir::OpBuilder &builder, unsigned dim);
    /// The static extent of `dim`, or ShapedType::kDynamic.
    int64_t getStaticExtent(unsigned dim);

    ::mlir::Block *getBody() { return &getEpilogue().front(); }
    ::mlir::Type getSumType() { return getBody()->getArgument(0).getType(); }
    bool hasTensors() { return getNumResults() == 1; }
    /// The operands that have a map, in its order: all but the scratch.
    ::mlir::ValueRange getMapped() {
      return getOperands().take_front(3 + getExtras().size());
    }

    /// A dimension of A with indices `position * stride + window * dilation -
    /// low`: along `position` of the result and `window` of the sum.
    struct Window {
      unsigned dim, position, window;
      int64_t stride, dilation, low;
    };
    /// Dimension `dim` of A, or nothing if it has another form.
    ::std::optional<Window> getWindow(unsigned dim);
    /// Those of `zeroOutside`.
    ::llvm::SmallVector<Window> getOutside();

    /// The dimensions of a convolution of stride 1: A is `(image, y +
    /// windowY * d, x + windowX * d, channel)`, the last one with groups
    /// `group * n + channel`; of a volume the depth comes behind the image. See
    /// Dilation.h.
    struct Convolution {
      unsigned image, y, x, column, windowY, windowX, channel;
      ::std::optional<unsigned> group;
    };
    /// Nothing if the op has another form.
    ::std::optional<Convolution> getConvolution();
  }];
}

def Dlc_WinogradWeightsOp : Dlc_Op<"winograd_weights", [
    AlwaysSpeculatable,
    DeclareOpInterfaceMethods<DestinationStyleOpInterface>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "the weights of a convolution for Winograd's form";
  let description = [{
    The windows along the dimensions `y` and `x` of the operand become tiles;
    the other dimensions stay as they are:

    `U[.., ty, .., tx, ..] = sum_y,x Gy[ty, y] Gx[tx, x] W[.., y, .., x, ..]`

    with the matrices of lib/Kernels/Winograd.h; or the planes of
    lib/Kernels/Fourier.h along `y`, and 1 along `x`. Every element of the init
    operand is written, and none is read.

    ```mlir
    %u = dlc.winograd_weights %w outs %e [1, 2] #dlc.winograd<height = 4,
        width = 4, windowHeight = 3, windowWidth = 3, tiles = 12>
        : tensor<2x3x3x8x64xf32>, tensor<2x6x6x8x64xf32> -> tensor<2x6x6x8x64xf32>
    ```
  }];
  let arguments = (ins AnyShaped:$weights, AnyShaped:$init,
                       I64Attr:$y, I64Attr:$x, Dlc_WinogradAttr:$winograd);
  let results = (outs Optional<AnyRankedTensor>:$result);
  let hasVerifier = 1;
  let assemblyFormat = [{
    $weights `outs` $init `[` $y `,` $x `]` $winograd attr-dict
    `:` type($weights) `,` type($init) (`->` type($result)^)?
  }];
}

def Dlc_YieldOp : Dlc_Op<"yield", [Pure, ReturnLike, Terminator]> {
  let summary = "the end of a region";
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

#endif
