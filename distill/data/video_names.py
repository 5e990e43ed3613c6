"""Videos' ids as text that fits into a line of a CSV file."""

_UNFIT = ',"\n\r\0'
_ESCAPES = {ord(character): f"\\x{ord(character):02x}" for character in _UNFIT}


def name_video(video_id: bytes) -> str:
    r"""Returns an id as text.

    Bytes that are no text, commas, quotes and ends of lines become `\x2c` and
    the like.
    """
    return video_id.decode(errors="backslashreplace").translate(_ESCAPES)
