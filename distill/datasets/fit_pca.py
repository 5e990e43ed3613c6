"""Fits a PCA to the frames of records or arrays, and writes it."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from distill.data.pipeline import VideoReader
from distill.datasets.array_sources import open_arrays
from distill.datasets.array_videos import ArrayFindings, check_videos
from distill.extraction.pca import write_pca
from distill.extraction.pca_fit import FittedPca, PcaFit
from distill.models.quantisation import dequantisation
from distill.settings.pack import PackSettings
from distill.settings.pca import PcaSettings
from distill.settings.schema import DataSchema
from distill.system.atomic_files import replace_atomically

_VIDEOS_AT_ONCE = 16
Frames = Iterator[np.ndarray]
Range = tuple[float, float]


def schema_of_feature(schema: DataSchema, name: str | None) -> DataSchema:
    """Returns a layout of records with one of its features alone.

    Args:
      schema: The records' layout.
      name: The feature; None for the only one that there is.

    Raises:
      ValueError: There is no such feature, or there are several.
    """
    names = schema.feature_names
    if name is None and len(names) == 1:
        name = names[0]
    if name not in names:
        raise _unknown_feature(names, name)
    if not schema.frame_features or schema.segment_labels:
        raise ValueError(
            "A PCA is fitted to frames of whole videos: frame_features must be "
            "true and segment_labels false."
        )
    return dataclasses.replace(
        schema,
        feature_names=(name,),
        feature_sizes=(schema.feature_sizes[names.index(name)],),
        float_features=(name,) if name in schema.float_features else (),
    )


def read_record_frames(
    schema: DataSchema, files: list[str], on_bad_record: str = "fail"
) -> Frames:
    """Yields the frames of records, as numbers.

    Args:
      schema: The records' layout, of one feature.
      files: The records' files.
      on_bad_record: `fail` or `skip`.

    Yields:
      `[frames, size]`, floats.

    Raises:
      BadRecordError: A record or file is bad, or there is no record.
    """
    reader = VideoReader(
        schema,
        files,
        _VIDEOS_AT_ONCE,
        need_labels=False,
        on_bad_record=on_bad_record,
    )
    for batch in reader.read_once():
        frames, counts = batch["frames"].numpy(), batch["num_frames"].numpy()
        is_real = np.arange(frames.shape[1]) < counts[:, None]
        yield _to_floats(frames[is_real], schema.quantisation_range)


def read_array_frames(
    path: str | Path, name: str | None, value_range: Range
) -> Frames:
    """Yields the frames of arrays that `distill pack` reads, as numbers.

    Args:
      path: What `open_arrays` opens.
      name: The feature; None for the only one that there is.
      value_range: The numbers of the least and the greatest byte.

    Yields:
      `[frames, size]`, floats.

    Raises:
      ValueError: The videos cannot be read, or do not fit each other.
    """
    names = () if name is None else (name,)
    found = ArrayFindings(PackSettings(feature_names=names))
    for video in check_videos(open_arrays(path, names), found):
        if len(video.features) > 1:
            raise _unknown_feature(video.features, name)
        (frames,) = video.features.values()
        yield _to_floats(frames, value_range)


def _unknown_feature(names: Iterable[str], name: str | None) -> ValueError:
    got = "none given" if name is None else f"got {name!r}"
    return ValueError(f"feature_name must be one of {', '.join(names)}; {got}.")


def _to_floats(frames: np.ndarray, value_range: Range) -> np.ndarray:
    """Returns frames with the numbers that whole ones, bytes, stand for."""
    if frames.dtype.kind == "f":
        return frames
    scale, offset = dequantisation(*value_range)
    return frames * scale + offset


def fit_pca(
    frames: Iterable[np.ndarray],
    settings: PcaSettings,
    output_file: str | Path,
    observe: Callable[[int], None] = lambda count: None,
) -> tuple[FittedPca, int]:
    """Writes the PCA of frames to a file, whole or not at all.

    Args:
      frames: In batches `[n, size]`, floats.
      settings: The number of components, and the most frames.
      output_file: The file, which ends in `.h5`.
      observe: Called with the number of frames so far.

    Returns:
      The PCA and the number of its frames.

    Raises:
      ValueError: There are too few frames, or the file's name is another.
      WriteError: The file cannot be written.
    """
    if not str(output_file).endswith(".h5"):
        raise ValueError(f"output_file must end in .h5, got {output_file}.")
    most = settings.max_frames_read
    # The file is begun first: an error of it comes before all the reading.
    with replace_atomically(output_file) as temporary:
        fit = None
        for batch in frames:
            fit = fit or PcaFit(batch.shape[1], settings.num_components)
            fit.add(batch[: None if most is None else most - fit.num_frames])
            observe(fit.num_frames)
            if fit.num_frames == most:
                break
        if fit is None:
            raise ValueError("There is no frame to fit a PCA to.")
        fitted = fit.finish()
        write_pca(
            temporary,
            fitted.mean,
            fitted.eigenvalues,
            fitted.vectors,
            num_frames=fit.num_frames,
            explained=fitted.explained,
        )
    return fitted, fit.num_frames


def describe_fit(fitted: FittedPca, num_frames: int) -> list[str]:
    """Returns lines on the variance that the components explain."""
    inputs, outputs = fitted.vectors.shape
    shares = fitted.eigenvalues / fitted.eigenvalues.sum() * fitted.explained
    first = ", ".join(f"{share:.2%}" for share in shares[:5])
    return [
        f"{num_frames:,} frames of {inputs} numbers: {outputs} components "
        f"explain {fitted.explained:.2%} of their variance",
        f"the first {len(shares[:5])}: {first}; the last: {shares[-1]:.4%}",
    ]
