"""Google's C++ CEL (cel-expr-python 0.1.3), set up for each scope.

Known of this version, and guarded against here and in values.py: it overruns its stack on deep values; it cuts texts at
U+0000; converting an optional value within a list or object crashes; keys of objects come in an order of its own, so
results are sorted by key (but `map` and `filter` over the keys of an object go in that order); and it gives every None
that it returns without counting the reference, which ends a Python 3.11 process after some thousand nulls.
"""

import ctypes
import sys
from functools import cache

from cel_expr_python import cel
from cel_expr_python.ext import ext_encoders, ext_math, ext_optional, ext_strings

from infra.expressions.scope import Scope

if sys.version_info < (3, 12):  # From 3.12 on None is immortal by itself (PEP 683). Here it is made so: one reference
    # is lost for each null, and 2^60 are not lost in the life of a process.
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 60

TYPES = {"now": cel.Type.TIMESTAMP, "index": cel.Type.INT}
"""Names that are not of any type."""


@cache
def environment(scope: Scope) -> cel.Env:
    """The CEL library set up for a scope.

    Extensions: strings, math, optional values and base64. `cel.bind` is left out: nested it grows texts without bound.
    """
    return cel.NewEnv(
        variables={name: TYPES.get(name, cel.Type.DYN) for name in scope.names},
        extensions=[
            ext_strings.ExtStrings(),
            ext_math.ExtMath(),
            ext_optional.ExtOptional(),
            ext_encoders.ExtEncoders(),
        ],
    )
