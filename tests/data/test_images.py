"""Pictures in IDX files: read, refused when damaged, downloaded by name from a local server."""

import gzip
import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from foldin.data import Examples, PublicPictures, load_pictures, read_idx
from foldin.errors import DataError, DownloadError, ShapeError

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx(values: np.ndarray) -> bytes:
    head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return head + values.astype(np.uint8).tobytes()


def files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (7, 4, 3)), np.arange(7), rng.integers(0, 256, (3, 4, 3)), np.arange(3)]
    return {f"{name}.gz": gzip.compress(idx(one), mtime=0) for name, one in zip(NAMES, arrays, strict=True)}


@pytest.fixture
def folder(tmp_path):
    for name, content in files().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_a_folder_is_read_compressed_or_not(folder):
    packed = load_pictures(folder)
    assert packed.train.shape == (4, 3)
    assert (len(packed.train), len(packed.test)) == (7, 3)
    assert packed.train.values.dtype == torch.uint8
    assert packed.test_labels.tolist() == [0, 1, 2]
    for name in NAMES:
        (folder / name).write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        (folder / f"{name}.gz").unlink()
    assert load_pictures(folder).train.fingerprint() == packed.train.fingerprint()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "not an IDX file of bytes"),
        (idx(np.zeros((3, 2)))[:-1], "5 bytes of the 3×2 that its header announces"),
        (idx(np.zeros((3, 2))) + b"0", "more than the 3×2 that its header announces"),
        (b"\0\0\x08\x03\0\0", "damaged: its header"),
        (b"\0\0\x08\x03" + b"\x80\0\0\0" * 2 + b"\0\0\0\x04", "damaged: its header"),
        (b"\0\0\x08\0", "not an IDX file"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "one").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx(tmp_path / "one")


def test_an_archive_cut_short_or_of_something_else_is_refused_by_name(tmp_path):
    whole = gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (50, 20))))
    for content in (whole[:-300], b"nothing of the kind", whole[:3]):
        (tmp_path / "one.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"one\.gz: damaged"):
            read_idx(tmp_path / "one.gz")


def test_labels_must_match_their_pictures(folder):
    (folder / f"{NAMES[1]}.gz").write_bytes(gzip.compress(idx(np.arange(6))))
    with pytest.raises(DataError, match="6 labels of training pictures"):
        load_pictures(folder)


def test_training_and_test_pictures_have_one_shape(folder):
    (folder / f"{NAMES[2]}.gz").write_bytes(gzip.compress(idx(np.zeros((3, 2, 8)))))
    with pytest.raises(DataError, match=r"training pictures \(4, 3\), test pictures \(2, 8\)"):
        load_pictures(folder)


def test_no_such_pictures():
    with pytest.raises(DataError, match="there are fashion-mnist"):
        load_pictures("no-such-pictures")


class Site(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, directory=self.folder, **kwargs)

    def log_message(self, *_):
        pass


def test_a_public_set_is_downloaded_once_and_verified(folder, tmp_path):
    handler = type("Here", (Site,), {"folder": str(folder)})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    digests = tuple(hashlib.md5(content).hexdigest() for content in files().values())
    sets = {"some": PublicPictures(url, digests, Path("/nowhere"))}
    found = load_pictures("some", sets=sets, cache=tmp_path / "cache")
    assert len(found.train) == 7
    wrong = {"some": PublicPictures(url, ("0" * 32, *digests[1:]), Path("/nowhere"))}
    with pytest.raises(DownloadError, match="checksum"):
        load_pictures("some", sets=wrong, cache=tmp_path / "other")
    server.shutdown()
    server.server_close()
    assert load_pictures("some", sets=sets, cache=tmp_path / "cache").train.fingerprint() == found.train.fingerprint()


def test_examples_are_rows():
    one = Examples(torch.arange(12.0).view(4, 3))
    assert torch.equal(one.select(np.array([2, 0])).values, torch.tensor([[6.0, 7, 8], [0, 1, 2]]))
    assert torch.equal(one.rows(1, 9).values, one.values[1:])
    assert one.rows(0, 2).fingerprint() != one.rows(1, 3).fingerprint()
    with pytest.raises(ShapeError, match="at least two dimensions"):
        Examples(torch.arange(3.0))
