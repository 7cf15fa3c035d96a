#include "passes/Cpu/ContractEmit.h"
bool dlc::emitDot(ContractEmitter &) { return false; }
