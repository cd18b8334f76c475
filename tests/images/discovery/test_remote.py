"""Fields behind URLs, named in tables or listed in folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from lociscope.errors import Code, LociscopeError
from lociscope.images.discovery.remote import list_remote_files, open_urls
from lociscope.images.discovery.sources import find_fields
from lociscope.images.io.read import read_field
from lociscope.storage.remote import RemotePath, as_remote, write_bytes


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> RemotePath:
    path = as_remote(Path(f"memory://{request.node.name.partition('[')[0]}/plate"))
    assert isinstance(path, RemotePath)
    return path


@pytest.fixture
def stored(folder: RemotePath, write_field: object) -> RemotePath:
    """A folder behind a URL with the field `a1`, and a file of 0 bytes, as object stores have for folders."""
    for file in write_field().iterdir():  # type: ignore[operator]
        write_bytes(str(folder / file.name), file.read_bytes())
    write_bytes(str(folder / "marker"), b"")
    return folder


def test_a_folder_and_files_are_found_by_url(stored: RemotePath, tmp_path: Path) -> None:
    expected = read_field(find_fields([tmp_path / "fields"])[0][0])
    files = [stored / f"a1_{channel}.png" for channel in ("red", "green", "blue", "yellow")]
    for sources in ([stored], files):
        found, failures = find_fields(sources)
        assert ([source.id for source in found], failures) == (["a1"], [])
        assert (read_field(found[0]).pixels == expected.pixels).all()


def test_tables_here_and_behind_a_url_contain_urls(stored: RemotePath, tmp_path: Path) -> None:
    rows = [
        ("id", "red", "green", "blue", "yellow"),
        ("a1", *(f"{stored}/a1_{channel}.png" for channel in ("red", "green", "blue", "yellow"))),
        ("b1", *(f"omero://{number}" for number in range(4))),
    ]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(map(",".join, rows)))
    found, _ = find_fields([table])
    with pytest.raises(LociscopeError) as caught:  # unless they are opened on purpose
        read_field(found[0])
    assert caught.value.code == Code.UNSUPPORTED_FORMAT
    opened, refused = open_urls(found)
    assert [(failure.id, failure.code) for failure in refused] == [("b1", Code.UNSUPPORTED_FORMAT)]
    (source,) = opened
    assert read_field(source).pixels.shape == (32, 32, 4)
    assert open_urls([source])[0][0] is source
    relative = stored / "table.csv"
    write_bytes(str(relative), table.read_bytes().replace(f"{stored}/".encode(), b""))
    ((found_there, _), _) = find_fields([relative])
    assert found_there.planes == source.planes


@pytest.mark.parametrize(
    ("name", "code"),
    [("a.zip", Code.UNSUPPORTED_FORMAT), ("a.ome.zarr", Code.UNSUPPORTED_FORMAT), ("none", Code.NOT_FOUND)],
)
def test_what_is_not_read_by_url(folder: RemotePath, name: str, code: Code) -> None:
    source = folder / name
    assert isinstance(source, RemotePath)
    with pytest.raises(LociscopeError) as caught:
        list_remote_files(source)
    assert caught.value.code == code
