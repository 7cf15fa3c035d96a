/* What the parts of the emulator share: the threads of a block, and how those
 * of a warp come together. */
#ifndef EMULATOR_H
#define EMULATOR_H

#include <stdint.h>

enum { warp_threads = 32 };

/* What a thread brings to an instruction of its warp. */
struct dlc_offer {
  uint32_t words[16];
  const void *pointer;
};

int32_t dlc_emulated_thread(void);
int32_t dlc_emulated_lane(void);

/* Waits for the other threads of the warp; what each of them offers. */
const struct dlc_offer *dlc_emulated_meet(const struct dlc_offer *offer);

/* Copies that are not waited for: forgets those of a block before. */
void dlc_emulated_begin_copies(void);

#endif
