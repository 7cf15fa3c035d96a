// What Fourier transforms cost.
#include "lib/Kernels/Fourier.h"
#include <algorithm>

using namespace dlc;

// As passes/Cpu/FourierTransform.cpp emits them: a pair of results takes six
// operations, or four where the root of unity is 1 or -i.
int64_t dlc::countComplexTransform(int64_t size) {
  if (size == 1)
    return 0;
  int64_t plain = std::min<int64_t>(size / 2, 2);
  return 2 * countComplexTransform(size / 2) + 4 * plain +
         6 * (size / 2 - plain);
}

int64_t dlc::countRealTransform(int64_t size) {
  if (size == 1)
    return 0;
  if (size == 2)
    return 2;
  return 2 * countRealTransform(size / 2) + 2 + 6 * (size / 4 - 1);
}

/// Loads and stores of numbers between passes cost as much as arithmetic; so
/// do those of the numbers of a long line, which the registers don't hold.
static int64_t countMemory(int64_t numbers) {
  constexpr int64_t kRegisters = 32;
  int64_t passes = 1;
  for (int64_t held = kRegisters; held < numbers; held *= 2)
    ++passes;
  return 2 * numbers * passes;
}

static int64_t countColumns(const FourierLayout &layout) {
  return layout.realColumns() *
             (countRealTransform(layout.height) + countMemory(layout.height)) +
         layout.complexColumns() * (countComplexTransform(layout.height) +
                                    countMemory(2 * layout.height));
}

int64_t dlc::countForward(const FourierLayout &layout) {
  return layout.height *
             (countRealTransform(layout.width) + countMemory(layout.width)) +
         (layout.height > 1 ? countColumns(layout) : 0) + layout.planes();
}

int64_t dlc::countInverse(const FourierLayout &layout, int64_t lines) {
  return lines *
             (countRealTransform(layout.width) + countMemory(layout.width)) +
         (layout.height > 1 ? countColumns(layout) : 0) + 2 * layout.planes();
}

int64_t dlc::countFilter(const FourierLayout &layout, int64_t lines) {
  return countForward(layout) + countInverse(layout, lines) +
         4 * layout.height * layout.width;
}
