import sys

from dlc.quantize.command import main

sys.exit(main())
