"""Whether a damaged file must be refused, judged without the toolkit."""

import io
import json
import struct
import zipfile
import zlib


def may_be_anything(contents: bytes, original: bytes) -> bool:
    """Returns True: the format holds no sums, and any value may be meant."""
    return True


def is_json_object(contents: bytes, original: bytes) -> bool:
    """Returns whether a text is a JSON object."""
    try:
        return isinstance(json.loads(contents.decode()), dict)
    except (ValueError, RecursionError):
        return False


def is_json_lines(contents: bytes, original: bytes) -> bool:
    """Returns whether every line that is not empty is a JSON object."""
    lines = contents.splitlines()
    return all(is_json_object(line, b"") for line in lines if line.strip())


def is_pairs(contents: bytes, original: bytes) -> bool:
    """Returns whether every line holds a name and pairs of number and score."""
    header, *lines = contents.decode("utf-8", "replace").split("\n")
    if "," not in header:
        return False
    try:
        for line in filter(None, lines):
            words = line.split(",", 1)[1].split()
            scores = [float(word) for word in words[1::2]]
            if len(words) % 2 or any(score != score for score in scores):
                return False
    except (ValueError, IndexError):
        return False
    return True


def is_whole_archive(contents: bytes, original: bytes) -> bool:
    """Returns whether the check sums of a zip archive hold."""
    try:
        with zipfile.ZipFile(io.BytesIO(contents)) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, RuntimeError, EOFError, NotImplementedError):
        return False
    except (zipfile.BadZipFile, zlib.error, struct.error):
        return False


def is_original_records(contents: bytes, original: bytes) -> bool:
    """Returns whether a file consists of records of the original alone."""
    found, known = _records(contents), _records(original)
    return found is not None and set(found) <= set(known or ())


def _records(contents: bytes) -> list[bytes] | None:
    """Returns the framed records of a TFRecord file by their lengths."""
    records, place = [], 0
    while place < len(contents):
        header = contents[place : place + 8]
        if len(header) < 8:
            return None
        end = place + 16 + struct.unpack("<Q", header)[0]
        if end > len(contents):
            return None
        records.append(contents[place:end])
        place = end
    return records
