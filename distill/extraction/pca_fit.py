"""Fits a PCA to frames that pass by.

The covariance of all frames is summed up, so the result is that of all frames
at once, whatever their number; memory holds two matrices `[inputs, inputs]`.
scikit-learn's `IncrementalPCA` keeps the wanted components alone between
batches, so its last eigenvalues, which whitening divides by, are too small or
too large; docs/extraction.md has the measured error.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class FittedPca:
    """The PCA of some frames.

    Attributes:
      mean: float64 `[inputs]`.
      eigenvalues: float64 `[outputs]`, the greatest first: the variance of the
        frames along each eigenvector.
      vectors: float64 `[inputs, outputs]`, of length 1. The number of each that
        is farthest from zero is positive.
      explained: Share of the variance that they explain together.
    """

    mean: np.ndarray
    eigenvalues: np.ndarray
    vectors: np.ndarray
    explained: float


class PcaFit:
    """Sums of frames `[n, num_inputs]`.

    Args:
      num_inputs: Numbers of a frame.
      num_components: Numbers that the PCA makes of them.

    Attributes:
      num_frames: Frames so far.

    Raises:
      ValueError: There are fewer inputs than components.
    """

    def __init__(self, num_inputs: int, num_components: int):
        if not 0 < num_components <= num_inputs:
            raise ValueError(
                f"num_components must be from 1 to {num_inputs}, the width of "
                f"the feature, got {num_components}."
            )
        self._num_components = num_components
        self.num_frames = 0
        # Sums of differences from the first frames' mean: those of large
        # numbers would cancel out.
        self._origin = np.zeros(num_inputs)
        self._sum = np.zeros(num_inputs)
        self._products = np.zeros((num_inputs, num_inputs))

    def add(self, frames: np.ndarray) -> None:
        """Adds frames, floats `[n, num_inputs]`."""
        if not len(frames):
            return
        exact = frames.astype(np.float64)
        if not self.num_frames:
            self._origin = exact.mean(axis=0)
        exact -= self._origin
        self.num_frames += len(exact)
        self._sum += exact.sum(axis=0)
        self._products += exact.T @ exact

    def finish(self) -> FittedPca:
        """Returns the PCA of all frames.

        Raises:
          ValueError: There are too few frames for so many components, or all
            frames are equal.
        """
        count = self._num_components
        if self.num_frames <= count:
            raise ValueError(
                f"{count} components need more than {count} frames, got "
                f"{self.num_frames}."
            )
        shift = self._sum / self.num_frames
        covariance = self._products - np.outer(self._sum, shift)
        covariance /= self.num_frames - 1
        values, vectors = np.linalg.eigh(covariance)
        total = values.sum()
        if not total > 0:
            raise ValueError("All frames are equal: they have no components.")
        kept = slice(None, -count - 1, -1)
        values, vectors = values[kept].clip(0), vectors[:, kept]
        peaks = np.abs(vectors).argmax(axis=0)
        vectors = vectors * np.sign(vectors[peaks, range(count)])
        return FittedPca(
            self._origin + shift, values, vectors, float(values.sum() / total)
        )
