"""The frame-budget study: accuracy and cost over numbers of frames."""
