"""Files for TensorBoard take no memory that stays."""

import random
import sys

from distill.reporting.event_files import EventFiles


def test_numbers_that_are_written_are_not_kept(tmp_path):
    """TensorFlow would keep each Python number for ever."""
    files = EventFiles(tmp_path, ("train",))
    value, step = random.random(), 10**9 + 7
    before = sys.getrefcount(value), sys.getrefcount(step)
    files.write_scalars("train", step, {"loss": value})
    files.close()
    assert (sys.getrefcount(value), sys.getrefcount(step)) == before
