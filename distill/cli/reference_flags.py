"""Flags of the reference systems by other names than ours."""

# Their name: ours.
RENAMED = {
    "alpha": "label_loss_alpha",
    "bagging": "bootstrap",
    "check_point": "checkpoint",
    "checkpoint_file": "checkpoint",
    "csv_output_file": "output_file",
    "ema_halflife": "ema_half_life",
    "gru_backward": "reversed_time",
    "input_model_tgz": "artifact",
    "iterations": "sample_frames",
    "lstm_backward": "reversed_time",
    "max_num_frames": "max_frames",
    "max_step": "max_steps",
    "segment_max_pred": "segment_max_per_class",
}
_SAMPLES = "--sample_frames above 0 draws frames"
# Their name: why it has no counterpart.
WITHOUT_COUNTERPART = {
    "file_size": "--shard divides predictions over files",
    "gru_random_sequence": _SAMPLES,
    "is_training": "a verb says whether it trains",
    "log_device_placement": "--verbosity=1 shows TensorFlow's messages",
    "lstm_random_sequence": _SAMPLES,
    "num_gpu": "every GPU found computes, --gpu chooses one",
    "num_readers": "reading takes the cores it needs",
    "use_ema": "evaluation reads the moving average where there is one",
}


def translate(word: str) -> str | None:
    """Returns a word of a command line with our flag in place of theirs.

    None stands for a flag without a counterpart, whose reason is printed.
    """
    dashes = word[: len(word) - len(word.lstrip("-"))]
    name, equals, value = word.lstrip("-").partition("=")
    if not dashes:
        return word
    if reason := WITHOUT_COUNTERPART.get(name.removeprefix("no")):
        print(f"NOTE: --{name} is left out: {reason}.")
        return None
    for prefix in ("", "no"):
        if name.startswith(prefix) and name.removeprefix(prefix) in RENAMED:
            name = prefix + RENAMED[name.removeprefix(prefix)]
    return f"{dashes}{name}{equals}{value}"
