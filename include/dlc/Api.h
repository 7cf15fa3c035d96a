/// \file
/// DLC_API marks what libdlc.so offers to tools, plugins and other programs.
#ifndef DLC_API_H
#define DLC_API_H

#define DLC_API __attribute__((visibility("default")))

#endif
