"""`python -m tracer`: the command line. The one module of the engine that calls another package (DESIGN §1)."""

import sys

from cli.main import main

sys.exit(main())
