"""Open what is to be explored: a Catalog, a table of labels, or a folder of fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lociscope.artifacts.catalog import Catalog, Entry, is_catalog, read_labels
from lociscope.channels import CHANNEL_NAMES
from lociscope.data.explore.findings import Finding, FindingKind
from lociscope.images.discovery.sources import FieldSource, find_fields, read_catalog_sources
from lociscope.storage.table_files import TABLES

if TYPE_CHECKING:
    from pathlib import Path


class FieldSet(NamedTuple):
    """Fields to explore.

    Attributes:
        catalog: Their labels and further columns, where known.
        sources: Their files, in the same order.
        broken: Findings about files that form no field.
    """

    catalog: Catalog
    sources: list[FieldSource]
    broken: list[Finding]

    @property
    def has_images(self) -> bool:
        """Whether any field names a file."""
        return any(source.refs for source in self.sources)


def open_field_set(path: Path) -> FieldSet:
    """Open a Catalog, a table `Id,Target`, or a folder or an archive of fields without labels.

    Raises:
        LociscopeError: The file is missing, of another kind, or holds no field.
    """
    if path.is_file() and path.suffix.lower() in TABLES:
        if is_catalog(path):
            catalog = Catalog.read(path, may_lack=CHANNEL_NAMES)
        else:
            catalog = Catalog.from_entries(
                [Entry(name, target) for name, target in read_labels(path).items()], path.parent
            )
        return FieldSet(catalog, read_catalog_sources(catalog), [])
    found, failures = find_fields([path])
    entries = [Entry(source.id, **dict(source.about)) for source in found]  # type: ignore[arg-type] # plate, well, site
    broken = [Finding(FindingKind.UNREADABLE, (each.id,), 1.0, reason=each.reason) for each in failures]
    return FieldSet(Catalog.from_entries(entries, path), found, broken)
