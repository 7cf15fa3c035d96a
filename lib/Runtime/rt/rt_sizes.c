/* How many bytes an element and a tensor take. */
#include "dlc_rt.h"

size_t dlc_rt_dtype_size(int32_t dtype) {
  switch (dtype) {
  case DLC_STRING:
    return sizeof(char *);
  case DLC_UINT16:
  case DLC_INT16:
  case DLC_FLOAT16:
  case DLC_BFLOAT16:
    return 2;
  case DLC_FLOAT32:
  case DLC_INT32:
  case DLC_UINT32:
    return 4;
  case DLC_INT64:
  case DLC_UINT64:
  case DLC_FLOAT64:
  case DLC_COMPLEX64:
    return 8;
  case DLC_COMPLEX128:
    return 16;
  }
  if (dtype & DLC_MAP)
    return dtype & DLC_SEQUENCE ? sizeof(dlc_maps) : sizeof(dlc_map);
  return dtype & (DLC_SEQUENCE | DLC_OPTIONAL) ? sizeof(dlc_sequence) : 1;
}

size_t dlc_rt_bytes(size_t item, int32_t rank, const int64_t *shape) {
  size_t bytes = item;
  int empty = 0;
  for (int32_t d = 0; d < rank; ++d) {
    if (shape[d] == 0)
      empty = 1;
    else if ((uint64_t)shape[d] > SIZE_MAX >> 1 ||
             __builtin_mul_overflow(bytes, (size_t)shape[d], &bytes))
      bytes = SIZE_MAX >> 1;
  }
  /* Loops over the other dimensions of a tensor without elements end, too. */
  if (bytes >= SIZE_MAX >> 1)
    return SIZE_MAX;
  return empty ? 0 : bytes;
}
