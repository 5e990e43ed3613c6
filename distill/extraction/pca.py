"""PCA with whitening, as YouTube-8M made its features of frames.

Abu-El-Haija et al. 2016, "YouTube-8M: A Large-Scale Video Classification
Benchmark", section 3.3: subtract the mean, project on the eigenvectors of the
covariance, divide by `sqrt(eigenvalue + 1e-4)`.
"""

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from distill.system.digests import path_hash
from distill.system.error_lines import first_line
from distill.system.hdf5_files import new_hdf5_file, open_hdf5_file
from distill.system.named_reads import open_bytes
from distill.system.storage import to_path

# Added to the eigenvalues, so that small ones do not become large numbers.
_OFFSET = 1e-4
# YouTube-8M's files may hold more eigenvectors than its features have numbers.
_YT8M_FEATURES = 1024
_MOST_BYTES = 2**30
_DOWNLOAD = (
    "download http://data.yt8m.org/yt8m_pca.tgz for a directory of "
    "YouTube-8M's, or fit your own by `distill fit_pca`"
)
_DATASETS = ("mean", "eigenvalues", "eigenvectors")


@dataclasses.dataclass(frozen=True)
class Pca:
    """A projection of features; threads may share one.

    Attributes:
      mean: float32 `[inputs]`.
      vectors: float32 `[inputs, outputs]`.
      scale: float32 `[outputs]`, divisor of each output.
      identity: What its results depend on.
    """

    mean: np.ndarray
    vectors: np.ndarray
    scale: np.ndarray
    identity: str = ""

    @classmethod
    def whitening(
        cls, mean: np.ndarray, eigenvalues: np.ndarray, vectors: np.ndarray
    ) -> "Pca":
        """Returns the PCA of a covariance.

        Args:
          mean: `[inputs]`.
          eigenvalues: `[outputs]`.
          vectors: `[inputs, outputs]`.

        Raises:
          ValueError: The shapes do not fit, or a number cannot be.
        """
        inputs, outputs = len(mean), len(eigenvalues)
        if vectors.shape != (inputs, outputs):
            raise ValueError(
                f"its {outputs} eigenvectors of {inputs} numbers have the "
                f"shape {list(vectors.shape)}"
            )
        for values in (mean, eigenvalues, vectors):
            if not np.isfinite(values).all():
                raise ValueError("it holds a number that is not finite")
        if eigenvalues.min() <= -_OFFSET:
            raise ValueError(
                f"it holds the negative eigenvalue {eigenvalues.min():g}"
            )
        scale = np.sqrt(eigenvalues.astype(np.float64) + _OFFSET)
        return cls(_as_floats(mean), _as_floats(vectors), _as_floats(scale))

    @property
    def num_inputs(self) -> int:
        """Numbers that it reads."""
        return self.vectors.shape[0]

    @property
    def num_features(self) -> int:
        """Numbers that it makes."""
        return self.vectors.shape[1]

    @property
    def macs(self) -> int:
        """Multiply-adds of one vector."""
        return self.vectors.size

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Returns projected features.

        Each row is projected for itself: a product of several rows rounds
        otherwise than that of one, and so a row would depend on how many
        others there are.

        Args:
          features: float32 `[n, inputs]`.

        Returns:
          float32 `[n, outputs]`.
        """
        if features.shape[1:] != self.mean.shape:
            raise ValueError(
                f"A PCA of {self.num_inputs} numbers cannot read features "
                f"{list(features.shape)}."
            )
        found = np.zeros((len(features), self.num_features), np.float32)
        for row, feature in zip(found, features, strict=True):
            centred = feature.astype(np.float32) - self.mean
            row[:] = centred @ self.vectors / self.scale
        return found


def load_pca(path: str | Path) -> Pca:
    """Returns the PCA of a file or directory.

    Args:
      path: YouTube-8M's directory of `mean.npy`, `eigenvals.npy` and
        `eigenvecs.npy`; AudioSet's `vggish_pca_params.npz`; or a file of
        `distill fit_pca`, which ends in `.h5`.

    Raises:
      ValueError: There is none, or it is damaged or something else.
    """
    path = to_path(path)
    if not path.exists():
        raise ValueError(f"There is no PCA {path}: {_DOWNLOAD}.")
    read: Callable[[Path], Pca] = _read_fitted
    if path.is_dir():
        read = _read_yt8m
    elif path.suffix == ".npz":
        read = _read_vggish
    elif path.suffix != ".h5":
        raise ValueError(
            f"{path} is no PCA: give a directory of YouTube-8M's files, an "
            ".npz file of AudioSet's or an .h5 file of `distill fit_pca`."
        )
    try:
        pca = read(path)
    except Exception as error:
        # NumPy and HDF5 raise errors of many classes for a damaged file.
        raise ValueError(
            f"{path} cannot be read as a PCA: {first_line(error)}."
        ) from error
    identity = f"pca:{path.name} {path_hash(path)}"
    return dataclasses.replace(pca, identity=identity)


def write_pca(
    path: Path,
    mean: np.ndarray,
    eigenvalues: np.ndarray,
    vectors: np.ndarray,
    **attributes: str | int | float,
) -> None:
    """Writes a file that `load_pca` reads.

    Args:
      path: A local file, new or temporary.
      mean: `[inputs]`.
      eigenvalues: `[outputs]`, the greatest first.
      vectors: `[inputs, outputs]`.
      **attributes: What people may want to know of it.
    """
    arrays = (mean, eigenvalues, vectors)
    with new_hdf5_file(path) as file:
        for name, array in zip(_DATASETS, arrays, strict=True):
            file[name] = array.astype(np.float32)
        file.attrs.update(attributes)


def _read_fitted(path: Path) -> Pca:
    with open_hdf5_file(path) as file:
        for name in _DATASETS:
            dataset = file.get(name)
            if not isinstance(dataset, h5py.Dataset):
                raise ValueError(f"it has no dataset {name!r}")
            # A dataset of a false size would take all memory.
            _check_size(dataset.nbytes)
            if dataset.dtype.kind != "f":
                raise ValueError(f"{name!r} is {dataset.dtype}, not floats")
        return Pca.whitening(*(file[name][()] for name in _DATASETS))


def _read_yt8m(path: Path) -> Pca:
    """Reads YouTube-8M's files, whose eigenvectors are the rows."""
    mean, eigenvalues, vectors = (
        _read_array(path / f"{name}.npy")
        for name in ("mean", "eigenvals", "eigenvecs")
    )
    mean, eigenvalues = mean.ravel(), eigenvalues.ravel()
    if vectors.shape != (len(mean), len(eigenvalues)) or len(mean) == len(
        eigenvalues
    ):
        vectors = vectors.T
    kept = slice(_YT8M_FEATURES)
    return Pca.whitening(mean, eigenvalues[kept], vectors[:, kept])


def _read_vggish(path: Path) -> Pca:
    """Reads AudioSet's file, whose matrix `[outputs, inputs]` whitens too."""
    with np.load(io.BytesIO(_read_bytes(path)), allow_pickle=False) as arrays:
        _check_size(sum(info.file_size for info in arrays.zip.infolist()))
        names = ("pca_means", "pca_eigen_vectors")
        for name in names:
            if name not in arrays:
                raise ValueError(f"it has no array {name!r}")
        mean, matrix = (_check_floats(name, arrays[name]) for name in names)
    ones = np.ones(len(matrix), np.float32)
    pca = Pca.whitening(mean.ravel(), ones, matrix.T)
    return dataclasses.replace(pca, scale=ones)


def _read_array(path: Path) -> np.ndarray:
    if not path.is_file():
        raise ValueError(f"there is no {path.name} in it")
    found = np.load(io.BytesIO(_read_bytes(path)), allow_pickle=False)
    return _check_floats(path.name, found)


def _check_floats(name: str, array: np.ndarray) -> np.ndarray:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        kind = getattr(array, "dtype", type(array).__name__)
        raise ValueError(f"{name} is {kind}, not an array of floats")
    return array


def _read_bytes(path: Path) -> bytes:
    with open_bytes(path) as file:
        contents = file.read(_MOST_BYTES + 1)
    _check_size(len(contents))
    return contents


def _check_size(num_bytes: int) -> None:
    if num_bytes > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES:,} bytes")


def _as_floats(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32)
