"""A folder of images, with its subfolders: one item an image."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from crl_qdrant import CatalogError, CatalogOptions, CatalogReader, id_of_key, Item
from crl_qdrant_catalogs.pictures import as_text, image_below, IMAGE_ENDINGS, is_file

__all__ = ["FOLDER", "FolderReader"]


class FolderReader:
    """Reads folders."""

    def accepts(self, source: Path) -> bool:
        """Whether it is a folder."""
        return source.is_dir()

    def read(self, source: Path, options: CatalogOptions) -> list[Item]:
        """Return the images in the order of their paths; an image's key is its path below the folder, without ending.

        Raises:
            CatalogError: if an option is one that only tables have, or the folder has no image.
        """
        if options.id_column or options.image_column or options.images or options.encoding:
            raise CatalogError(f"{source} is a folder of images: it has no columns, and --images is for tables")
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS and is_file(path))
        if not paths:
            raise CatalogError(f"there is no image in {source}; looked for {', '.join(IMAGE_ENDINGS)}")
        names = [path.relative_to(source) for path in paths]
        # a.jpg beside a.png: both keep their ending, or one would take the other's place
        times = Counter(name.with_suffix("") for name in names)
        keys = [as_text(name if times[name.with_suffix("")] > 1 else name.with_suffix("")) for name in names]
        items = []
        for key, name in zip(keys, names, strict=True):
            image, error = image_below(source, name, options)
            payload = {"key": key, "image_path": as_text(name)}
            items.append(Item(id=id_of_key(key), image=image, payload=payload, key=key, error=error))
        return items


FOLDER: CatalogReader = FolderReader()
