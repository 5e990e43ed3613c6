"""Lists of sizes given as text, such as `512,1024`."""


def parse_sizes(argument: str, text: str) -> list[int]:
    """Returns the sizes that a comma-separated argument lists.

    Args:
      argument: The argument's name, for the message.
      text: Whole numbers of 1 or more, such as `512,1024`.

    Raises:
      ValueError: `text` is something else.
    """
    parts = [part.strip() for part in text.split(",")]
    if all(part.isdecimal() and int(part) > 0 for part in parts):
        return [int(part) for part in parts]
    raise ValueError(
        f"{argument} must be whole numbers of 1 or more, separated by commas, "
        f"such as 512,1024; got {text!r}."
    )


def size_per_feature(sizes: list[int], num_features: int) -> list[int]:
    """Returns one size a feature; the last of `sizes` serves the rest."""
    last = len(sizes) - 1
    return [sizes[min(index, last)] for index in range(num_features)]
