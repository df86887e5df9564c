"""`python -m dns_tools check DOMAIN …`; see command_line.py."""

import sys

from dns_tools.command_line import main

sys.exit(main(sys.argv[1:]))
