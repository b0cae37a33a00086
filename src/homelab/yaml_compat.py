"""What PyYAML raises besides its own errors: for a value that is not what its tag or its look claims, and for depth."""

from __future__ import annotations

import yaml

# `!!int x`, a number of thousands of digits and 2026-13-01 are a ValueError, `!!timestamp x` an AttributeError,
# `!!bool x` a KeyError, and a thousand brackets a RecursionError.
UNREADABLE = (yaml.YAMLError, ValueError, AttributeError, KeyError, RecursionError)
