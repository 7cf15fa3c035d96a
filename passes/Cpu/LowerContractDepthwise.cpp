#include "passes/Cpu/ContractEmit.h"
bool dlc::emitDepthwise(ContractEmitter &) { return false; }
