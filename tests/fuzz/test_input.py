"""Fuzzing of what goes in: images, payloads, embeddings, ids, keys, .npy files and catalogues."""

from __future__ import annotations

import io
import json
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import damaged, fuzz, odd_key, odd_text, odd_value
from PIL import features, Image

from crl_qdrant import CatalogOptions, id_of_key
from crl_qdrant.common.arguments import finite_number, listed, whole_number
from crl_qdrant.common.arrays import matrix, matrix_or_rows, unit_rows, unit_vector
from crl_qdrant.common.images import decode, path_below, update_digest
from crl_qdrant.common.keys import former_ids_of_key
from crl_qdrant.common.npy import read_matrix
from crl_qdrant.common.points import checked_payload, path_parts, point_id, qdrant_path
from crl_qdrant_catalogs.table import TABLE

KINDS = ["png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm", "jpeg2000", *(["avif"] if features.check("avif") else [])]


def sources() -> list[bytes]:
    found = []
    for mode in ("RGB", "RGBA", "L", "P", "I;16", "F", "CMYK"):
        image = Image.new("L", (24, 18), 90).convert("F" if mode == "I;16" else mode)
        if mode == "I;16":
            image = Image.fromarray(np.full((18, 24), 9000, dtype=np.uint16))
        for kind in KINDS:
            buffer = io.BytesIO()
            try:
                image.save(
                    buffer, kind, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" if kind in ("jpeg", "png", "webp") else b""
                )
            except (OSError, ValueError, KeyError):
                continue
            found.append(buffer.getvalue())
    return found


SOURCES = sources()


@pytest.fixture(autouse=True)
def no_warnings() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_images(tmp_path: Path) -> None:
    def image(rng: random.Random) -> None:
        content = damaged(rng, rng.choice(SOURCES))
        path = tmp_path / "a.jpg"
        path.write_bytes(content)
        given = rng.choice([content, path, io.BytesIO(content), bytearray(content), odd_value(rng, 1)])
        found = decode(given)
        assert found.mode == "RGB"
        update_digest(len, given)

    fuzz(image)


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    def path(rng: random.Random) -> None:
        name = "/".join(odd_text(rng, 4) for _ in range(rng.randrange(1, 4)))
        assert path_below(tmp_path / "in", name).resolve().is_relative_to(tmp_path / "in")

    fuzz(path)


def test_payloads() -> None:
    def payload(rng: random.Random) -> None:
        given = {odd_key(rng): odd_value(rng) for _ in range(rng.randrange(4))}
        found = checked_payload(given if rng.random() < 0.95 else odd_value(rng))  # type: ignore[arg-type]
        text = json.dumps(found, allow_nan=False)
        assert json.loads(text) == found
        assert checked_payload(found) == found

    fuzz(payload)


def embeddings(rng: random.Random) -> object:
    rows = [[rng.choice([0, 1, -2.5, 1e39, 1e-42, 1e300]) for _ in range(rng.choice([2, 2, 2, 3]))] for _ in range(3)]
    match rng.randrange(8):
        case 0:
            return torch.tensor([row[:2] for row in rows], dtype=rng.choice([torch.bfloat16, torch.float64]))
        case 1:
            return np.array([row[:2] for row in rows], dtype=rng.choice(["f2", "f4", "f8", "c8", "O", "U", "S"]))
        case 2:
            return odd_value(rng)
        case 3:
            rows[rng.randrange(3)] = odd_value(rng)
        case 4:
            rows[rng.randrange(3)][0] = odd_value(rng, 1)
        case 5:
            return [torch.tensor(row) for row in rows]
    return rows


def test_embeddings() -> None:
    def embedding(rng: random.Random) -> None:
        given = embeddings(rng)
        match rng.randrange(4):
            case 0:
                assert matrix(given, what="it").dtype == np.float32
            case 1:
                assert np.allclose(np.linalg.norm(unit_rows(given, what="it"), axis=1), 1)
            case 2:
                assert np.linalg.norm(unit_vector(given, what="it", dimension=2)) == pytest.approx(1)
            case 3:
                assert len(matrix_or_rows(given, what="it", rows=3, dimension=2)) == 3

    fuzz(embedding)


def test_ids_and_keys() -> None:
    def key(rng: random.Random) -> None:
        given = odd_text(rng) if rng.random() < 0.7 else odd_value(rng, 1)
        match rng.randrange(5):
            case 0:
                found = id_of_key(given)
                assert found == id_of_key(given) == point_id(found)
                assert found not in former_ids_of_key(given)
            case 1:
                assert point_id(point_id(given)) == point_id(given)
            case 2:
                assert path_parts(qdrant_path(given)) == path_parts(given)
            case 3:
                whole_number("n", given, least=0)
                listed("n", given)
            case 4:
                assert abs(finite_number("n", given)) < float("inf")

    fuzz(key)


def test_npy_files(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(6.0).reshape(3, 2))

    def npy(rng: random.Random) -> None:
        path = tmp_path / "a.npy"
        path.write_bytes(damaged(rng, buffer.getvalue()))
        assert read_matrix(path).ndim == 2

    fuzz(npy)


def test_catalogues(tmp_path: Path) -> None:
    table = 'id,name,price,file\n1,"a, ""b""",9.5,a.jpg\n2,c,,../x.png\n0042,Röcke,1e9,\n'.encode()

    def catalogue(rng: random.Random) -> None:
        path = tmp_path / rng.choice(["a.csv", "a.tsv"])
        if rng.random() < 0.5:
            path.write_bytes(damaged(rng, table))
        else:
            path.write_text("id," + odd_text(rng, 300), encoding="utf-8", errors="replace")
        encoding = rng.choice([None, None, None, "cp1252", "utf-16", odd_text(rng)])
        image = rng.choice([None, "file"])
        options = CatalogOptions(images=tmp_path, id_column="id", image_column=image, encoding=encoding)
        for item in TABLE.read(path, options):
            checked_payload(item.payload)

    fuzz(catalogue)
