"""The part of bench/models/export that is Python: prints the names or paths of
networks, or exports those that are missing."""

from __future__ import annotations

import argparse
import sys
import time
import warnings

import networks


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/models/export")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--export", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in networks.TABLE]
    if unknown:
        print(f"error: no network is called {', '.join(unknown)}; --list has their names",
              file=sys.stderr)  # fmt: skip
        return 2
    chosen = [networks.TABLE[name] for name in options.names or networks.TABLE]
    for network in chosen:
        if options.list:
            print(network.name)
        elif not options.export:
            print(network.path)
        elif not network.path.exists():
            begin = time.monotonic()
            warnings.simplefilter("ignore")  # the tracer's, about Python values
            network.make().save(network.path)
            size = network.path.stat().st_size / 2**20
            print(f"{network.name}: {size:.0f} MiB in {time.monotonic() - begin:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
