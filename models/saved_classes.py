"""Registers every class that a `.keras` file of a model can name.

Keras loads no module for a file's sake: `import distill.models.saved_classes`
comes before `keras.models.load_model`.
"""

import importlib
import pkgutil

from distill import models

for _module in pkgutil.iter_modules(models.__path__, "distill.models."):
    if _module.name != __name__:
        importlib.import_module(_module.name)
