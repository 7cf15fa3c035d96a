/* Which CPU features the running machine lacks. Compiled for the target's
 * baseline, so that asking is safe everywhere. */
#include "dlc_rt.h"

#if defined(__x86_64__)
/* where: leaf (see lib/Target/X86.cpp), register, bit, state in XCR0. */
enum { state_amx = 3 };

/* Linux saves the tiles of AMX for processes that have asked for them once; it
 * refuses where a thread's alternate signal stack has no room for them. That
 * holds for all threads, and asking again changes nothing. */
static int may_use_tiles(void) {
  enum { arch_prctl = 158, request_permission = 0x1023, tile_data = 18 };
  long result = arch_prctl;
  __asm__ volatile("syscall"
                   : "+a"(result)
                   : "D"((long)request_permission), "S"((long)tile_data)
                   : "rcx", "r11", "memory");
  return result == 0;
}

static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t regs[4]) {
  __asm__ volatile("cpuid"
                   : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
                   : "a"(leaf), "c"(subleaf));
}

static int has(const int32_t where[4]) {
  static const uint32_t states[] = {0, 0x6, 0xe6, 0x60000};
  uint32_t regs[4];
  uint32_t leaf = (uint32_t)where[0] & 0xff;
  uint32_t subleaf = (uint32_t)where[0] >> 8 & 0xff;
  uint32_t range = ((uint32_t)where[0] >> 16 & 0xff) << 24;
  uint32_t state = states[where[3]];
  cpuid(range, 0, regs);
  if (regs[0] < (range | leaf))
    return 0;
  if (leaf == 7 && subleaf > 0) {
    cpuid(7, 0, regs);
    if (regs[0] < subleaf)
      return 0;
  }
  cpuid(range | leaf, subleaf, regs);
  if (!(regs[where[1]] >> where[2] & 1))
    return 0;
  if (state) {
    uint32_t low, high;
    cpuid(1, 0, regs);
    if (!(regs[2] >> 27 & 1)) /* OSXSAVE */
      return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & state) != state)
      return 0;
    if (where[3] == state_amx && !may_use_tiles())
      return 0;
  }
  return 1;
}
#else
/* where: AT_HWCAP or AT_HWCAP2, bit. */
unsigned long getauxval(unsigned long type);

static int has(const int32_t where[4]) {
  return getauxval((unsigned long)where[0]) >> where[1] & 1;
}
#endif

int32_t dlc_rt_cpu_lacks(const struct dlc_rt_need *needs, int32_t count) {
  for (int32_t i = 0; i < count; ++i)
    if (!has(needs[i].where))
      return i;
  return -1;
}
