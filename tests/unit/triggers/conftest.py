"""Makes `triggers_spec` importable: test folders have no packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
