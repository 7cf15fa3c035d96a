// The attention op: two contractions with a softmax between them, of which a
// kernel keeps the scores to itself.
#ifndef DLC_ATTENTION
#define DLC_ATTENTION

include "dialects/Dlc/DlcContract.td"

def Dlc_AttentionOp : Dlc_Op<"attention", [
    IsolatedFromAbove, AttrSizedOperandSegments,
    DeclareOpInterfaceMethods<DestinationStyleOpInterface>,
    DeclareOpInterfaceMethods<MemoryEffectsOpInterface>]> {
  let summary = "attention whose scores need no memory of their own";
  let description = [{
    ```
    S[b, m, n] = scores(sum_k Q[b, m, k] * K[b, n, k], scoreExtras...)
    P[b, m, n] = exp(S - max_n S) / sum_n exp(S - max_n S)
    C[b, m, c] = epilogue(sum_n P[b, m, n] * V[b, n, c], extras...)
    ```

    with any number of batch dimensions b and rows m, one dimension of keys n,
    one of depth k and one of columns c. What each iteration dimension is
    follows from the maps, projected permutations from the iteration space to Q,
    K, V, the score extras, the extras and C, in this order: keys are in K and V
    but not in C, depth is in Q and K alone, columns are in V and C but not in
    Q. The maps of extras may have constants, too, where these are broadcast:
    those of score extras have no k and c, those of extras no k and n.

    Both sums have the type of their region's first argument, the other
    arguments are the extras' elements. A row all of whose scores are minus
    infinity gives NaN, as softmax does; what is to stand there instead is the
    epilogue's affair. Every element of the init operand is written, and none is
    read.

    With `precision`, a kernel may round the operands of both products to that
    type, the weights P among them; sums and the softmax stay as they are.

    Kernels may take the keys in blocks, and scale what they have by
    exp(old maximum - new maximum) (Milakov and Gimelshein 2018, Dao et al.
    2022). With `causal`, a dimension m of rows and a number d, scores of keys
    n > m + d are minus infinity, whatever the region says. On a CPU `tile`, of queries and of keys, says how many scores a kernel
    has at a time, and `scratch` is the memory for them (AttentionScratch.h).

    ```mlir
    %r = dlc.attention %q, %k, %v scores %mask : tensor<6x8xf32> outs %e
        [affine_map<(m, n, k, c) -> (m, k)>, affine_map<(m, n, k, c) -> (n, k)>,
         affine_map<(m, n, k, c) -> (n, c)>, affine_map<(m, n, k, c) -> (m, n)>,
         affine_map<(m, n, k, c) -> (m, c)>]
        : tensor<6x4xf32>, tensor<8x4xf32>, tensor<8x4xf32>, tensor<6x4xf32>
        -> tensor<6x4xf32> {
    ^bb0(%score: f32, %hidden: f32):
      %0 = arith.addf %score, %hidden : f32
      dlc.yield %0 : f32
    }, {
    ^bb0(%sum: f32):
      dlc.yield %sum : f32
    }
    ```
  }];
  let arguments = (ins AnyShaped:$q, AnyShaped:$k, AnyShaped:$v,
                       Variadic<AnyShaped>:$scoreExtras,
                       Variadic<AnyShaped>:$extras, AnyShaped:$init,
                       Optional<AnyMemRef>:$scratch,
                       AffineMapArrayAttr:$indexingMaps,
                       OptionalAttr<Dlc_Precision>:$precision,
                       OptionalAttr<DenseI64ArrayAttr>:$tile,
                       OptionalAttr<DenseI64ArrayAttr>:$causal);
  let results = (outs Optional<AnyRankedTensor>:$result);
  let regions = (region SizedRegion<1>:$scores, SizedRegion<1>:$epilogue);
  let hasVerifier = 1;
  let hasRegionVerifier = 1;
  let assemblyFormat = [{
    $q `,` $k `,` $v (`scores` $scoreExtras^ `:` type($scoreExtras))?
    (`extras` $extras^ `:` type($extras))? `outs` $init
    (`scratch` $scratch^ `:` type($scratch))? $indexingMaps attr-dict
    `:` type($q) `,` type($k) `,` type($v) `,` type($init)
    (`->` type($result)^)? $scores `,` $epilogue
  }];
  let extraClassDeclaration = [{
    /// What an iteration dimension is; see the description.
    enum class DimKind { Batch, Row, Key, Depth, Column };

    /// The operands that have a map, in its order: all but the scratch.
    ::mlir::ValueRange getMapped() {
      return getOperands().drop_back(getScratch() ? 1 : 0);
    }
    ::mlir::AffineMap getMap(unsigned operand) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getIndexingMaps()[operand])
          .getValue();
    }
    ::mlir::AffineMap getQMap() { return getMap(0); }
    ::mlir::AffineMap getKMap() { return getMap(1); }
    ::mlir::AffineMap getVMap() { return getMap(2); }
    ::mlir::AffineMap getScoreExtraMap(unsigned i) { return getMap(3 + i); }
    ::mlir::AffineMap getExtraMap(unsigned i) {
      return getMap(3 + getScoreExtras().size() + i);
    }
    ::mlir::AffineMap getCMap() { return getMap(getIndexingMaps().size() - 1); }

    unsigned getNumDims() { return getQMap().getNumDims(); }
    DimKind getDimKind(unsigned dim);
    /// The dimensions of one kind, in the order of the iteration space.
    ::llvm::SmallVector<unsigned> getDims(DimKind kind);
    /// The only dimension of keys, depth or columns.
    unsigned getDim(DimKind kind) { return getDims(kind).front(); }
    /// The extent of `dim` at the builder's insertion point.
    ::mlir::Value createExtent(::mlir::OpBuilder &builder, unsigned dim);
    /// The static extent of `dim`, or ShapedType::kDynamic.
    int64_t getStaticExtent(unsigned dim);

    bool hasTensors() { return getNumResults() == 1; }
  }];
}

#endif
