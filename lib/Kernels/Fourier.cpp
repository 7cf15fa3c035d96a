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

/// With loads and stores of `numbers`, which cost as much as arithmetic. The
/// registers don't hold more than 32, and each further step through memory
/// costs about half of a transform (measured on a Zen 5).
static int64_t withMemory(int64_t operations, int64_t numbers, bool isComplex) {
  operations += 2 * numbers;
  for (int64_t held = isComplex ? 32 : 16; held < numbers; held *= 2)
    operations += operations / 2;
  return operations;
}

static int64_t countLine(int64_t size) {
  return withMemory(countRealTransform(size), size, false);
}

static int64_t countColumns(const FourierLayout &layout) {
  return layout.realColumns() * countLine(layout.height) +
         layout.complexColumns() *
             withMemory(countComplexTransform(layout.height), 2 * layout.height,
                        true);
}

int64_t dlc::countForward(const FourierLayout &layout) {
  return layout.height * countLine(layout.width) +
         (layout.height > 1 ? countColumns(layout) : 0) + layout.planes();
}

int64_t dlc::countInverse(const FourierLayout &layout, int64_t lines) {
  return lines * countLine(layout.width) +
         (layout.height > 1 ? countColumns(layout) : 0) + 2 * layout.planes();
}

int64_t dlc::countFilter(const FourierLayout &layout, int64_t lines) {
  return countForward(layout) + countInverse(layout, lines) +
         4 * layout.height * layout.width;
}
