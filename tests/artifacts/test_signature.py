"""Signed bundles: accepted by a trusted key over these very files, and by nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lociscope.artifacts.bundle import read_bundle
from lociscope.artifacts.bundle_files import REQUIRED_KEYS, SIGNATURE
from lociscope.artifacts.signature import sign_bundle, verify_bundle
from lociscope.errors import Code, LociscopeError
from lociscope.predict.predictor import open_bundle
from lociscope.registry.gate import PromotionRefusedError
from lociscope.registry.model_registry import Registry
from lociscope.workflows.promote import promote

if TYPE_CHECKING:
    from collections.abc import Callable


pytestmark = pytest.mark.slow  # importing model-signing takes seconds


def write_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """A new private key, and its public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    plain = serialization.NoEncryption()
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(pem, kind, plain))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("lab"), "lab")


@pytest.fixture(scope="module")
def signed_once(
    tmp_path_factory: pytest.TempPathFactory, make_bundle: Callable[..., Path], lab: tuple[Path, Path]
) -> Path:
    folder = make_bundle(tmp_path_factory.mktemp("signed") / "tiny")
    sign_bundle(read_bundle(folder), lab[0])
    return folder


@pytest.fixture
def signed(signed_once: Path, tmp_path: Path) -> Path:
    """A copy of a signed bundle."""
    return shutil.copytree(signed_once, tmp_path / "tiny")


def test_a_trusted_key_is_found(signed: Path, lab: tuple[Path, Path], tmp_path: Path) -> None:
    other = write_keys(tmp_path, "other")[1]
    bundle = read_bundle(signed)
    assert verify_bundle(bundle, [other, lab[1]]) == lab[1]
    assert read_bundle(signed).sha256 == bundle.sha256
    with pytest.raises(LociscopeError, match="not that of a trusted key") as raised:
        verify_bundle(bundle, [other])
    assert raised.value.code == Code.REFUSED


def test_any_other_tool_of_model_signing_verifies_it(signed: Path, lab: tuple[Path, Path]) -> None:
    words = ["verify", "key", signed, "--signature", signed / SIGNATURE, "--public_key", lab[1]]
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_altered_files_are_refused(
    signed: Path, lab: tuple[Path, Path], make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_bundle(tmp_path / "other", 1)
    shutil.copy(signed / SIGNATURE, other / SIGNATURE)  # the signature of another bundle
    with pytest.raises(LociscopeError, match="not that of a trusted key"):
        verify_bundle(read_bundle(other), [lab[1]])
    before = read_bundle(signed)
    for file in other.iterdir():  # after it was read
        shutil.copy(file, signed / file.name)
    with pytest.raises(LociscopeError):
        verify_bundle(before, [lab[1]])
    (signed / SIGNATURE).write_text("{}")
    with pytest.raises(LociscopeError):
        verify_bundle(read_bundle(signed), [lab[1]])
    (signed / SIGNATURE).unlink()
    with pytest.raises(LociscopeError, match="is not signed"):
        verify_bundle(read_bundle(signed), [lab[1]])


def test_what_was_read_must_be_what_was_signed(
    signed: Path, lab: tuple[Path, Path], make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    read = read_bundle(make_bundle(tmp_path / "evil", 1))
    object.__setattr__(read, "folder", signed)  # as if the good files were put there after the evil ones were read
    with pytest.raises(LociscopeError, match="changed after it was read"):
        verify_bundle(read, [lab[1]])


def test_wrong_keys_are_errors(signed: Path, lab: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(LociscopeError) as raised:
        sign_bundle(read_bundle(signed), tmp_path / "absent")
    assert raised.value.code == Code.NOT_FOUND
    with pytest.raises(LociscopeError) as raised:
        sign_bundle(read_bundle(signed), lab[1])
    assert raised.value.code == Code.WRONG_FILE
    with pytest.raises(LociscopeError) as raised:
        verify_bundle(read_bundle(signed), [tmp_path / "absent"])
    assert raised.value.code == Code.NOT_FOUND
    assert verify_bundle(read_bundle(signed), [lab[1]]) == lab[1]  # the signature is as before


def test_signatures_can_be_required(
    signed: Path, lab: tuple[Path, Path], make_bundle: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    unsigned = make_bundle(tmp_path / "unsigned", 1)
    other = write_keys(tmp_path, "other")[1]
    monkeypatch.setenv(REQUIRED_KEYS, f"{other}{os.pathsep}{lab[1]}")
    assert open_bundle(signed).bundle.card.name == "tiny0"
    assert open_bundle().bundle.card.name  # the bundle that ships is part of the package
    with pytest.raises(LociscopeError, match="is not signed"):
        open_bundle(unsigned)
    models = Registry(tmp_path / "models")
    by: dict[str, Any] = {"who": "ann", "why": ""}
    models.add(signed, **by)
    models.add(unsigned, **by)
    promote(tmp_path / "models", "tiny0", **by)
    with pytest.raises(PromotionRefusedError, match="is not signed"):
        promote(tmp_path / "models", "tiny1", **by)
    assert models.entry("production").version.startswith("tiny0")


def test_the_command_line(
    signed: Path, lab: tuple[Path, Path], make_bundle: Callable[..., Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from lociscope.cli import main

    monkeypatch.delenv(REQUIRED_KEYS, raising=False)

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["lociscope", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out + said.err

    monkeypatch.chdir(tmp_path)
    made = make_bundle(Path("new"), 1)  # a relative path
    assert run("bundle", "verify", made, "--key", lab[1])[0] == 1
    assert run("bundle", "sign", made, "--key", lab[0]) == (0, f"{made.absolute() / SIGNATURE}\n")
    assert run("bundle", "verify", made, "--key", lab[1]) == (0, f"signed by {lab[1]}\n")
    monkeypatch.setenv(REQUIRED_KEYS, "")  # so that it is restored afterwards
    (made / SIGNATURE).unlink()
    code, said = run("--require-signed", lab[1], "explore", "--help")
    assert code == 0, said
    assert os.environ[REQUIRED_KEYS] == str(lab[1])
