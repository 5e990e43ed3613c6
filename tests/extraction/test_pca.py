"""PCA with whitening and its files, against NumPy."""

import h5py
import numpy as np
import pytest

from distill.extraction.pca import load_pca, write_pca
from distill.system.digests import path_hash

INPUTS, OUTPUTS = 12, 5


def draw_arrays(outputs=OUTPUTS, seed=0):
    """Returns mean, eigenvalues and eigenvectors `[inputs, outputs]`."""
    random = np.random.default_rng(seed)
    vectors = np.linalg.qr(random.normal(size=(INPUTS, INPUTS)))[0]
    eigenvalues = np.sort(random.uniform(1e-5, 2, outputs))[::-1]
    return random.normal(size=INPUTS), eigenvalues, vectors[:, :outputs]


def draw_features(count=6, inputs=INPUTS):
    random = np.random.default_rng(9)
    return random.normal(size=(count, inputs)).astype(np.float32)


def write_yt8m(folder, mean, eigenvalues, rows, dtype=np.float64):
    folder.mkdir()
    for name, array in (
        ("mean", mean),
        ("eigenvals", eigenvalues),
        ("eigenvecs", rows),
    ):
        np.save(folder / f"{name}.npy", np.asarray(array, dtype))
    return folder


def whiten(features, mean, eigenvalues, vectors):
    centred = features.astype(np.float64) - mean
    return centred @ vectors / np.sqrt(eigenvalues + 1e-4)


@pytest.mark.parametrize("is_column", [False, True])
@pytest.mark.parametrize("are_rows", [False, True])
def test_yt8m_s_files_whiten_as_defined(tmp_path, is_column, are_rows):
    mean, eigenvalues, vectors = draw_arrays()
    shape = (-1, 1) if is_column else (-1,)
    folder = write_yt8m(
        tmp_path / "pca",
        mean.reshape(shape),
        eigenvalues.reshape(shape),
        vectors.T if are_rows else vectors,
    )
    pca, features = load_pca(folder), draw_features()
    expected = whiten(features, mean, eigenvalues, vectors)
    found = pca(features)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32
    assert (pca.num_inputs, pca.num_features) == (INPUTS, OUTPUTS)
    assert pca.macs == INPUTS * OUTPUTS
    assert pca.identity == f"pca:pca {path_hash(folder)}"


def test_a_square_matrix_of_yt8m_has_eigenvectors_as_rows(tmp_path):
    mean, eigenvalues, vectors = draw_arrays(outputs=INPUTS)
    pca = load_pca(write_yt8m(tmp_path / "p", mean, eigenvalues, vectors.T))
    expected = whiten(draw_features(), mean, eigenvalues, vectors)
    np.testing.assert_allclose(
        pca(draw_features()), expected, rtol=1e-4, atol=1e-5
    )


def test_the_first_1024_components_of_yt8m_s_files_are_taken(tmp_path):
    random = np.random.default_rng(3)
    mean, eigenvalues = random.normal(size=1_030), np.ones(1_030)
    rows = random.normal(size=(1_030, 1_030))
    folder = write_yt8m(tmp_path / "p", mean, eigenvalues, rows, np.float32)
    pca, features = load_pca(folder), draw_features(2, 1_030)
    expected = whiten(features, mean, eigenvalues[:1_024], rows[:1_024].T)
    assert pca.num_features == 1_024
    np.testing.assert_allclose(pca(features), expected, rtol=1e-3, atol=1e-3)


def test_the_file_of_audioset_projects_by_a_matrix_that_whitens(tmp_path):
    random = np.random.default_rng(1)
    matrix, means = random.normal(size=(8, 8)), random.normal(size=(8, 1))
    path = tmp_path / "vggish_pca_params.npz"
    np.savez(path, pca_eigen_vectors=matrix, pca_means=means)
    features = draw_features(4, 8)
    expected = (matrix @ (features.T - means)).T
    np.testing.assert_allclose(load_pca(path)(features), expected, rtol=1e-4)


def test_a_written_file_is_read(tmp_path):
    arrays, path = draw_arrays(), tmp_path / "pca.h5"
    write_pca(path, *arrays, num_frames=77)
    expected = whiten(draw_features(), *arrays)
    np.testing.assert_allclose(
        load_pca(path)(draw_features()), expected, rtol=1e-4, atol=1e-5
    )
    with h5py.File(path) as file:
        assert file.attrs["num_frames"] == 77


def test_a_row_has_the_same_bits_whichever_others_there_are(tmp_path):
    random = np.random.default_rng(2)
    path = tmp_path / "pca.h5"
    write_pca(
        path,
        random.normal(size=999),
        random.uniform(0, 1, 333),
        random.normal(size=(999, 333)),
    )
    pca, features = load_pca(path), draw_features(37, 999)
    every = pca(features)
    for chosen in ([5], [36, 0], [2, 3, 4], list(range(30))):
        np.testing.assert_array_equal(pca(features[chosen]), every[chosen])
    assert pca(features[:0]).shape == (0, 333)


def test_a_missing_file_says_what_to_download_or_to_run(tmp_path):
    with pytest.raises(ValueError, match=r"There is no PCA .*no\.h5") as caught:
        load_pca(tmp_path / "no.h5")
    assert "http://data.yt8m.org/yt8m_pca.tgz" in str(caught.value)
    assert "`distill fit_pca`" in str(caught.value)


def replace(name, array):
    """Returns a function that writes another array into YouTube-8M's folder."""
    return lambda folder: np.save(
        folder / name, array, allow_pickle=array.dtype == object
    )


def cut(folder):
    whole = (folder / "eigenvecs.npy").read_bytes()
    (folder / "eigenvecs.npy").write_bytes(whole[:-9])


def promise_too_much(folder):
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
    with open(folder / "mean.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "mean.npy").unlink(), "there is no mean.npy in it"),
        (cut, ""),
        (promise_too_much, ""),
        (lambda f: (f / "mean.npy").write_bytes(b""), ""),
        (replace("mean.npy", np.zeros(3)), "its 5 eigenvectors of 3 numbers"),
        (replace("mean.npy", np.full(INPUTS, np.nan)), "not finite"),
        (replace("mean.npy", np.zeros(INPUTS, int)), "mean.npy is int64, not"),
        (replace("mean.npy", np.array([None])), "[Oo]bject arrays"),
        (replace("eigenvals.npy", np.zeros(4)), "its 4 eigenvectors"),
        (replace("eigenvals.npy", np.full(5, -1.0)), "negative eigenvalue -1"),
        (replace("eigenvals.npy", np.zeros(0)), "its 0 eigenvectors"),
    ],
)
def test_a_damaged_directory_is_named_in_one_line(tmp_path, damage, message):
    mean, eigenvalues, vectors = draw_arrays()
    folder = write_yt8m(tmp_path / "pca", mean, eigenvalues, vectors.T)
    damage(folder)
    expected = rf"pca cannot be read as a PCA: .*{message}"
    with pytest.raises(ValueError, match=expected) as caught:
        load_pca(folder)
    assert str(caught.value).startswith(str(folder))
    assert "\n" not in str(caught.value)


def write_hdf5(**datasets):
    def write(path):
        with h5py.File(path, "w") as file:
            for name, options in datasets.items():
                file.create_dataset(name, **options)

    return write


MEAN = {"data": np.zeros(3, np.float32)}
VALUES = {"data": np.ones(2, np.float32)}


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.txt", lambda p: p.write_text("x"), "a.txt is no PCA: give a direc"),
        ("a.h5", lambda p: p.write_text("x"), "a.h5 cannot be read as a PCA: "),
        ("a.npz", lambda p: p.write_text("x"), "a.npz cannot be read as a PCA"),
        ("a.npz", lambda p: np.savez(p, x=[1.0]), "has no array 'pca_means'"),
        ("a.h5", write_hdf5(mean=MEAN), "it has no dataset 'eigenvalues'"),
        (
            "a.h5",
            write_hdf5(
                mean=MEAN,
                eigenvalues=VALUES,
                eigenvectors={"shape": (2**20, 2**20), "chunks": True},
            ),
            "it has more than 1,073,741,824 bytes",
        ),
        (
            "a.h5",
            write_hdf5(
                mean=MEAN,
                eigenvalues=VALUES,
                eigenvectors={"data": np.zeros((2, 3), np.float32)},
            ),
            r"its 2 eigenvectors of 3 numbers have the shape \[2, 3\]",
        ),
        (
            "a.h5",
            write_hdf5(
                mean={"data": np.float32(1)},
                eigenvalues=VALUES,
                eigenvectors=VALUES,
            ),
            "a.h5 cannot be read as a PCA",
        ),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=message) as caught:
        load_pca(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_features_of_another_width_are_refused(tmp_path):
    write_pca(tmp_path / "pca.h5", *draw_arrays())
    with pytest.raises(ValueError, match="A PCA of 12 numbers cannot read"):
        load_pca(tmp_path / "pca.h5")(draw_features(inputs=13))
