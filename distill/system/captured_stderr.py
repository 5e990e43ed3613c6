"""Standard error of TensorFlow's C++ code, shown after an error alone."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def standard_error_kept_back() -> Iterator[None]:
    """Shows what is written to standard error only if the body raises."""
    with tempfile.TemporaryFile() as kept, os.fdopen(os.dup(2), "wb") as shown:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            shown.write(kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown.fileno(), 2)
