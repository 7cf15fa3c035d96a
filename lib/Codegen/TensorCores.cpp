// Defines the functions that kernels for tensor cores call (passes/Gpu/Mma.h)
// by the instructions of an architecture.
#include "lib/Codegen/DeviceModule.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicsNVPTX.h"

using namespace llvm;

namespace {

/// Fills in the declared functions of a module.
class Definer {
public:
  Definer(Module &module, unsigned capability)
      : module(module), context(module.getContext()), b(context),
        capability(capability), i32(b.getInt32Ty()), f32(b.getFloatTy()),
        pair(FixedVectorType::get(b.getHalfTy(), 2)) {}

  void run() {
    for (StringRef name : {"dlc_mma_load_f16", "dlc_mma_load_bf16"})
      if (begin(name))
        load(/*isTransposed=*/false);
    for (StringRef name : {"dlc_mma_load_f16_t", "dlc_mma_load_bf16_t"})
      if (begin(name))
        load(/*isTransposed=*/true);
    for (auto [name, type] :
         {std::pair<StringRef, Type *>("dlc_mma_load_i8", b.getInt8Ty()),
          std::pair<StringRef, Type *>("dlc_mma_load_tf32", f32)})
      if (begin(name))
        b.CreateRet(makeFragment(
            loadMatrix(address(type, arg(1)), /*isTransposed=*/false)));
    for (auto [name, wide, narrow] :
         {std::tuple("dlc_mma_s8_s8", Intrinsic::nvvm_mma_m16n8k32_row_col_s8,
                     Intrinsic::nvvm_mma_m8n8k16_row_col_s8),
          std::tuple("dlc_mma_s8_u8",
                     Intrinsic::nvvm_mma_m16n8k32_row_col_s8_u8,
                     Intrinsic::nvvm_mma_m8n8k16_row_col_s8_u8),
          std::tuple("dlc_mma_u8_s8",
                     Intrinsic::nvvm_mma_m16n8k32_row_col_u8_s8,
                     Intrinsic::nvvm_mma_m8n8k16_row_col_u8_s8),
          std::tuple("dlc_mma_u8_u8", Intrinsic::nvvm_mma_m16n8k32_row_col_u8,
                     Intrinsic::nvvm_mma_m8n8k16_row_col_u8)})
      if (begin(name)) {
        if (capability >= 80)
          multiply(wide, i32);
        else
          multiplyBytesOfTuring(narrow);
      }
    if (begin("dlc_mma_gather_tf32"))
      gatherTf32();
    if (begin("dlc_mma_f16"))
      multiplyF16();
    if (begin("dlc_mma_bf16"))
      multiply(Intrinsic::nvvm_mma_m16n8k16_row_col_bf16, i32);
    if (begin("dlc_mma_tf32"))
      multiply(Intrinsic::nvvm_mma_m16n8k8_row_col_tf32, i32);
    for (StringRef name : {"dlc_mma_copy1", "dlc_mma_copy2", "dlc_mma_copy4"})
      if (begin(name))
        copy();
    if (begin("dlc_mma_commit")) {
      if (hasAsyncCopy())
        b.CreateIntrinsic(Intrinsic::nvvm_cp_async_commit_group, {});
      b.CreateRetVoid();
    }
    for (unsigned left = 0; left <= 3; ++left)
      if (begin(("dlc_mma_wait" + Twine(left)).str())) {
        if (hasAsyncCopy())
          b.CreateIntrinsic(Intrinsic::nvvm_cp_async_wait_group,
                            {b.getInt32(left)});
        b.CreateRetVoid();
      }
    for (StringRef name : {"dlc_mma_turn_f32", "dlc_mma_turn_i32"})
      if (begin(name))
        turn();
    if (begin("dlc_mma_partner_f32"))
      b.CreateRet(exchange(arg(0), isVolta() ? 8 : 1));
    if (begin("dlc_mma_partner2_f32"))
      b.CreateRet(exchange(arg(0), 2));
    if (begin("dlc_mma_pack_f16"))
      pack(b.getHalfTy());
    if (begin("dlc_mma_pack_bf16"))
      pack(b.getBFloatTy());
    if (begin("dlc_mma_exp2_f32"))
      b.CreateRet(
          b.CreateIntrinsic(Intrinsic::nvvm_ex2_approx_ftz, {f32}, {arg(0)}));
    if (begin("dlc_mma_spread_f32"))
      spread();
    definePlaces();
    if (begin("dlc_warp_xor"))
      b.CreateRet(
          b.CreateIntrinsic(Intrinsic::nvvm_shfl_sync_bfly_i32,
                            {b.getInt32(-1), arg(0), arg(1), b.getInt32(31)}));
  }

private:
  bool hasAsyncCopy() const { return capability >= 80; }
  /// Volta's instruction spreads operands and sums in a way of its own.
  bool isVolta() const { return capability < 75; }

  /// Begins the body of the function if the module calls it.
  bool begin(StringRef name) {
    function = module.getFunction(name);
    if (!function)
      return false;
    function->setLinkage(GlobalValue::InternalLinkage);
    function->addFnAttr(Attribute::AlwaysInline);
    b.SetInsertPoint(BasicBlock::Create(context, "", function));
    return true;
  }

  Value *arg(unsigned i) { return function->getArg(i); }
  Value *lane() {
    return b.CreateIntrinsic(Intrinsic::nvvm_read_ptx_sreg_laneid, {});
  }
  /// The address of an element of shared memory.
  Value *address(Type *element, Value *place) {
    return b.CreateGEP(element, arg(0), place);
  }
  Type *half() { return b.getInt16Ty(); }

  Value *makeFragment(ArrayRef<Value *> parts) {
    Value *result = PoisonValue::get(function->getReturnType());
    for (auto [i, part] : enumerate(parts))
      result = b.CreateInsertElement(result, part, uint64_t(i));
    return result;
  }

  /// What `thread` has of a value of 32 bits.
  Value *shuffle(Value *value, Value *thread) {
    return b.CreateIntrinsic(Intrinsic::nvvm_shfl_sync_idx_i32,
                             {b.getInt32(-1), value, thread, b.getInt32(31)});
  }

  /// The four matrices of 8 x 8 halves whose rows the threads name.
  SmallVector<Value *> loadMatrix(Value *row, bool isTransposed) {
    Value *loaded = b.CreateIntrinsic(
        isTransposed ? Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_trans_b16
                     : Intrinsic::nvvm_ldmatrix_sync_aligned_m8n8_x4_b16,
        {row->getType()}, {row});
    SmallVector<Value *> parts;
    for (unsigned i = 0; i < 4; ++i)
      parts.push_back(b.CreateExtractValue(loaded, i));
    return parts;
  }

  void load(bool isTransposed) {
    Value *row = address(half(), arg(1));
    if (isVolta())
      return loadVolta(row, isTransposed);
    SmallVector<Value *> parts = loadMatrix(row, isTransposed);
    // By the half of rows or columns first, then by that of terms.
    if (isTransposed)
      std::swap(parts[1], parts[2]);
    b.CreateRet(makeFragment(parts));
  }

  /// Each thread has all 16 terms of one row (of A) or column (of B): eight
  /// threads, four and the four 16 behind them, have eight of these, which the
  /// third bit of a thread chooses for A and the fourth for B.
  void loadVolta(Value *row, bool isTransposed) {
    Value *thread = lane();
    Value *number = b.CreateOr(b.CreateAnd(thread, 3),
                               b.CreateShl(b.CreateLShr(thread, 4), 2));
    // 8 for the second eight.
    Value *second = b.CreateSelect(b.CreateICmpNE(arg(2), b.getInt32(0)),
                                   b.CreateAnd(thread, 8),
                                   b.CreateShl(b.CreateAnd(thread, 4), 1));
    Value *address = b.CreatePtrToInt(row, b.getInt64Ty());
    Value *low = b.CreateTrunc(address, i32);
    // Shared memory has less than 4 GiB.
    Value *base = b.CreateShl(b.CreateLShr(address, 32), 32);
    auto at = [&](Value *bits) {
      return b.CreateIntToPtr(
          b.CreateOr(base, b.CreateZExt(bits, b.getInt64Ty())), row->getType());
    };
    SmallVector<Value *> parts;
    for (unsigned chunk = 0; chunk < 2 && !isTransposed; ++chunk) {
      Value *from = shuffle(low, b.CreateAdd(b.CreateAdd(number, second),
                                             b.getInt32(16 * chunk)));
      auto *type = FixedVectorType::get(i32, 4);
      Value *loaded = b.CreateAlignedLoad(type, at(from), Align(16));
      for (unsigned i = 0; i < 4; ++i)
        parts.push_back(b.CreateExtractElement(loaded, uint64_t(i)));
    }
    for (unsigned term = 0; term < 16 && isTransposed; term += 2) {
      Value *word = nullptr;
      for (unsigned one = 0; one < 2; ++one) {
        // A row is a term, and has two chunks of eight.
        Value *from = shuffle(
            low, b.CreateAdd(b.CreateShl(second, 1), b.getInt32(term + one)));
        Value *place = b.CreateAdd(from, b.CreateShl(number, 1));
        Value *loaded =
            b.CreateZExt(b.CreateAlignedLoad(half(), at(place), Align(2)), i32);
        word = one ? b.CreateOr(word, b.CreateShl(loaded, 16)) : loaded;
      }
      parts.push_back(word);
    }
    b.CreateRet(makeFragment(parts));
  }

  /// The instruction does not look at the bits that tf32 has not.
  void gatherTf32() {
    SmallVector<Value *> parts;
    for (unsigned i = 0; i < 4; ++i)
      parts.push_back(
          b.CreateAlignedLoad(i32, address(f32, arg(1 + i)), Align(4)));
    b.CreateRet(makeFragment(parts));
  }

  Value *part(unsigned operand, unsigned i, Type *type) {
    return b.CreateBitCast(b.CreateExtractElement(arg(operand), uint64_t(i)),
                           type);
  }

  /// The eight sums after `step` has changed four of them at a time.
  void
  finish(function_ref<Value *(unsigned columns, ArrayRef<Value *> sums)> step) {
    SmallVector<Value *> results;
    for (unsigned columns = 0; columns < 2; ++columns) {
      SmallVector<Value *> sums;
      for (unsigned i = 0; i < 4; ++i)
        sums.push_back(b.CreateExtractElement(arg(2), 4 * columns + i));
      Value *result = step(columns, sums);
      for (unsigned i = 0; i < 4; ++i)
        results.push_back(b.CreateExtractValue(result, i));
    }
    b.CreateRet(makeFragment(results));
  }

  /// One instruction for each eight columns.
  void multiply(Intrinsic::ID instruction, Type *word) {
    finish([&](unsigned columns, ArrayRef<Value *> sums) {
      SmallVector<Value *> operands;
      for (unsigned i = 0; i < 4; ++i)
        operands.push_back(part(0, i, word));
      for (unsigned i = 0; i < 2; ++i)
        operands.push_back(part(1, columns + 2 * i, word));
      operands.append(sums.begin(), sums.end());
      return b.CreateIntrinsic(instruction, operands);
    });
  }

  void multiplyF16() {
    if (isVolta())
      return multiplyVolta();
    if (capability >= 80)
      return multiply(Intrinsic::nvvm_mma_m16n8k16_row_col_f32_f32, pair);
    // Turing takes eight terms at a time.
    finish([&](unsigned columns, ArrayRef<Value *> sums) {
      SmallVector<Value *> now(sums);
      Value *result = nullptr;
      for (unsigned terms = 0; terms < 2; ++terms) {
        SmallVector<Value *> operands = {part(0, 2 * terms, pair),
                                         part(0, 2 * terms + 1, pair),
                                         part(1, columns + 2 * terms, pair)};
        operands.append(now);
        result = b.CreateIntrinsic(Intrinsic::nvvm_mma_m16n8k8_row_col_f32_f32,
                                   operands);
        for (unsigned i = 0; i < 4; ++i)
          now[i] = b.CreateExtractValue(result, i);
      }
      return result;
    });
  }

  /// Eight rows, eight columns and 16 terms at a time.
  void multiplyBytesOfTuring(Intrinsic::ID instruction) {
    SmallVector<Value *> results;
    for (unsigned columns = 0; columns < 2; ++columns)
      for (unsigned rows = 0; rows < 2; ++rows) {
        unsigned first = 4 * columns + 2 * rows;
        Value *x = b.CreateExtractElement(arg(2), uint64_t(first));
        Value *y = b.CreateExtractElement(arg(2), uint64_t(first + 1));
        for (unsigned terms = 0; terms < 2; ++terms) {
          Value *result = b.CreateIntrinsic(
              instruction, {part(0, rows + 2 * terms, i32),
                            part(1, columns + 2 * terms, i32), x, y});
          x = b.CreateExtractValue(result, 0);
          y = b.CreateExtractValue(result, 1);
        }
        results.push_back(x);
        results.push_back(y);
      }
    b.CreateRet(makeFragment(results));
  }

  /// Four terms at a time; each eight threads have 8 x 8 of the sums.
  void multiplyVolta() {
    SmallVector<Value *> sums;
    for (unsigned i = 0; i < 8; ++i)
      sums.push_back(b.CreateExtractElement(arg(2), uint64_t(i)));
    for (unsigned step = 0; step < 4; ++step) {
      SmallVector<Value *> operands = {
          part(0, 2 * step, pair), part(0, 2 * step + 1, pair),
          part(1, 2 * step, pair), part(1, 2 * step + 1, pair)};
      operands.append(sums);
      Value *result = b.CreateIntrinsic(
          Intrinsic::nvvm_mma_m8n8k4_row_col_f32_f32, operands);
      for (unsigned i = 0; i < 8; ++i)
        sums[i] = b.CreateExtractValue(result, i);
    }
    b.CreateRet(makeFragment(sums));
  }

  /// Copies 16 bytes from global to shared memory, or writes zeros where the
  /// number of bytes is 0. The buffer has 16 bytes at least.
  void copy() {
    StringRef name = function->getName();
    Type *element = name.ends_with("1")   ? b.getInt8Ty()
                    : name.ends_with("2") ? half()
                                          : f32;
    Value *to = address(element, arg(1));
    Value *from = b.CreateGEP(element, arg(2), arg(3));
    if (hasAsyncCopy()) {
      b.CreateIntrinsic(
          Intrinsic::nvvm_cp_async_cg_shared_global_16_s,
          {to, b.CreateAddrSpaceCast(from, b.getPtrTy(1)), arg(4)});
      b.CreateRetVoid();
      return;
    }
    // Without a branch, so that the loads of several copies go on at once.
    auto *type = FixedVectorType::get(i32, 4);
    Value *isRead = b.CreateICmpNE(arg(4), b.getInt32(0));
    Value *loaded = b.CreateAlignedLoad(
        type, b.CreateSelect(isRead, from, arg(2)), Align(16));
    b.CreateAlignedStore(
        b.CreateSelect(isRead, loaded, Constant::getNullValue(type)), to,
        Align(16));
    b.CreateRetVoid();
  }

  /// What the thread whose number differs in one bit has of a value.
  Value *exchange(Value *value, unsigned bit) {
    Value *word = shuffle(b.CreateBitCast(value, i32),
                          b.CreateXor(lane(), b.getInt32(bit)));
    return b.CreateBitCast(word, value->getType());
  }

  /// Pairs x of threads without the bit and y of those with it stay; the
  /// others change places.
  void swapPairs(Value *(&x)[2], Value *(&y)[2], unsigned bit) {
    Value *has = b.CreateICmpNE(b.CreateAnd(lane(), bit), b.getInt32(0));
    for (unsigned one = 0; one < 2; ++one) {
      Value *got = exchange(b.CreateSelect(has, x[one], y[one]), bit);
      x[one] = b.CreateSelect(has, got, x[one]);
      y[one] = b.CreateSelect(has, y[one], got);
    }
  }

  /// Sum 4 * part + 2 * half + one of a thread is in its row number `half`;
  /// four threads (two of Volta's, which have each other column pair) have
  /// eight columns of these rows together.
  void turn() {
    Value *pairs[4][2]; // of part 0 and 1 of half 0, then of half 1
    for (unsigned i = 0; i < 8; ++i)
      pairs[i / 2 % 2 * 2 + i / 4][i % 2] =
          b.CreateExtractElement(arg(0), uint64_t(i));
    if (isVolta()) {
      swapPairs(pairs[0], pairs[2], 2);
      swapPairs(pairs[1], pairs[3], 2);
      std::swap(pairs[1], pairs[2]);
    } else {
      swapPairs(pairs[0], pairs[1], 1);
      swapPairs(pairs[2], pairs[3], 1);
      swapPairs(pairs[0], pairs[2], 2);
      swapPairs(pairs[1], pairs[3], 2);
    }
    SmallVector<Value *> sums;
    for (auto &pair : pairs)
      sums.append({pair[0], pair[1]});
    b.CreateRet(makeFragment(sums));
  }

  /// Of a value for each row that `turn` gives a thread, those for the rows of
  /// the sums as instructions have them.
  void spread() {
    Value *bits = b.CreateBitCast(arg(0), i32);
    SmallVector<Value *> halves;
    for (unsigned half = 0; half < 2; ++half) {
      Value *thread = half ? b.CreateOr(lane(), b.getInt32(2))
                           : b.CreateAnd(lane(), b.getInt32(~2u));
      halves.push_back(b.CreateBitCast(shuffle(bits, thread), f32));
    }
    SmallVector<Value *> values;
    for (unsigned i = 0; i < 8; ++i)
      values.push_back(halves[i / 2 % 2]);
    b.CreateRet(makeFragment(values));
  }

  /// Eight sums of a step as the fragment of A that has them as terms: the
  /// same threads have the same rows.
  void pack(Type *type) {
    SmallVector<Value *> parts;
    for (unsigned i = 0; i < 8; i += 2) {
      Value *two = PoisonValue::get(FixedVectorType::get(type, 2));
      for (unsigned one = 0; one < 2; ++one)
        two = b.CreateInsertElement(
            two,
            b.CreateFPTrunc(b.CreateExtractElement(arg(0), uint64_t(i + one)),
                            type),
            uint64_t(one));
      parts.push_back(b.CreateBitCast(two, i32));
    }
    b.CreateRet(makeFragment(parts));
  }

  /// Where the sums of a thread are that `turn` makes, and, from Turing on, the
  /// first of those that instructions make.
  void definePlaces() {
    auto define = [&](StringRef name, function_ref<Value *()> make) {
      if (begin(name))
        b.CreateRet(b.CreateZExtOrTrunc(make(), function->getReturnType()));
    };
    bool volta = isVolta();
    auto bits = [&](unsigned mask) { return b.CreateAnd(lane(), mask); };
    define("dlc_mma_row", [&]() -> Value * {
      if (!volta)
        return b.CreateOr(b.CreateLShr(lane(), 2), b.CreateShl(bits(2), 2));
      return b.CreateOr(
          b.CreateOr(bits(1), bits(2)),
          b.CreateOr(b.CreateLShr(bits(16), 2), b.CreateShl(bits(4), 1)));
    });
    define("dlc_mma_sum_row", [&] { return b.CreateLShr(lane(), 2); });
    define("dlc_mma_sum_column", [&] { return b.CreateShl(bits(3), 1); });
    define("dlc_mma_column", [&]() -> Value * {
      return volta ? bits(8) : b.CreateShl(bits(1), 3);
    });
  }

  Module &module;
  LLVMContext &context;
  IRBuilder<> b;
  unsigned capability;
  Type *i32, *f32, *pair;
  Function *function = nullptr;
};

} // namespace

void dlc::defineTensorCores(Module &module, unsigned capability) {
  Definer(module, capability).run();
}
