"""Speed and memory of evaluation and inference of very many videos."""
