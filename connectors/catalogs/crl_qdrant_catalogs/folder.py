"""A folder of images, with its subfolders: one item a picture."""

from __future__ import annotations

from pathlib import Path

from crl_qdrant import CatalogError, CatalogOptions, CatalogReader, Item
from crl_qdrant_catalogs.keys import id_of_key, IMAGE_ENDINGS

__all__ = ["FOLDER", "FolderReader"]


class FolderReader:
    """Reads folders."""

    def accepts(self, source: Path) -> bool:
        """Whether it is a folder."""
        return source.is_dir()

    def read(self, source: Path, options: CatalogOptions) -> list[Item]:
        """The pictures in the order of their paths; a picture's key is its path below the folder, without ending.

        Raises:
            CatalogError: an option that only tables have, or no picture in the folder.
        """
        if options.id_column or options.image_column or options.images:
            raise CatalogError(f"{source} is a folder of images: it has no columns, and --images is for tables")
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS and path.is_file())
        if not paths:
            raise CatalogError(f"there is no image in {source}; looked for {', '.join(IMAGE_ENDINGS)}")
        keys = [path.relative_to(source).with_suffix("").as_posix() for path in paths]
        return [
            Item(id=id_of_key(key), image=path, payload={"key": key, "image_path": str(path)})
            for key, path in zip(keys, paths, strict=True)
        ]


FOLDER: CatalogReader = FolderReader()
