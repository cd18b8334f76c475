"""Signatures of Bundles, in the format of OpenSSF Model Signing: who exported them, by a key that you trust.

`model.sig` is beside the MANIFEST and not listed in it: it signs the hash of every file, the MANIFEST included, and the
identity of the bundle is the same with and without it.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lociscope.artifacts.bundle_files import MANIFEST, REQUIRED_KEYS, SIGNATURE
from lociscope.errors import Code, LociscopeError, MissingExtraError
from lociscope.storage.atomic import atomic_write
from lociscope.storage.file_errors import unreadable_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from lociscope.artifacts.bundle import Bundle


def sign_bundle(bundle: Bundle, private_key: Path) -> Path:
    """Sign a bundle that was read, and return its signature; an earlier one is replaced.

    Args:
        bundle: The bundle.
        private_key: A key on an elliptic curve (P-256, P-384 or P-521) as PEM, not encrypted.

    Raises:
        LociscopeError: The key cannot be used, the bundle changed meanwhile, or its folder cannot be written.
        MissingExtraError: model-signing is not installed.
    """
    library = _import_library()
    _check_file(private_key)
    folder = bundle.folder.absolute()  # the library takes ignored relative paths for ones within the folder
    path = folder / SIGNATURE
    hashing = library.hashing.Config().set_ignored_paths(paths=[path], ignore_git_paths=False)
    try:
        config = library.signing.Config().use_elliptic_key_signer(private_key=private_key).set_hashing_config(hashing)
    except Exception as error:  # of cryptography: not PEM, encrypted, or of another kind
        raise LociscopeError(
            f"'{private_key}' is not a private key that can sign: {error}. Make one: openssl ecparam -name prime256v1 "
            "-genkey -noout -out lab.key.",
            code=Code.WRONG_FILE,
        ) from error
    with atomic_write(path) as part:
        config.sign(folder, part)
        if _signed_digests(part.read_bytes()).get(MANIFEST) != bundle.sha256:
            raise LociscopeError(
                f"Bundle '{bundle.folder}' changed while it was signed. Sign it again.", code=Code.CONFLICT
            )
    return path


def verify_bundle(bundle: Bundle, public_keys: Sequence[Path]) -> Path:
    """Return the key that signed a bundle that was read.

    Args:
        bundle: The bundle; what was read is compared with what was signed.
        public_keys: Public keys as PEM; one of them must have signed it.

    Raises:
        LociscopeError: It has no signature, none of the keys made it, or it is of other files.
        MissingExtraError: model-signing is not installed.
    """
    library = _import_library()
    for key in public_keys:
        _check_file(key)
    signed = bundle.folder.absolute()
    path = signed / SIGNATURE
    if not path.is_file() or path.is_symlink():
        raise LociscopeError(
            f"Bundle '{bundle.folder}' is not signed: it has no {SIGNATURE}. Sign it with `lociscope bundle sign`, if "
            "you trust it.",
            code=Code.REFUSED,
        )
    data, reasons = path.read_bytes(), []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / SIGNATURE  # so that the bytes that are compared below are those that were verified
        copy.write_bytes(data)
        for key in public_keys:
            try:
                config = library.verifying.Config().use_elliptic_key_verifier(public_key=key)
                config.verify(signed, copy)
            except Exception as error:  # of cryptography, of sigstore, or a ValueError that names the files
                reasons.append(f"'{key}': {str(error) or type(error).__name__}")
                continue
            if _signed_digests(data).get(MANIFEST) == bundle.sha256:
                return key
            reasons.append(f"'{key}': the bundle changed after it was read")
    raise LociscopeError(
        f"The signature of bundle '{bundle.folder}' is not that of a trusted key over these files "
        f"({'; '.join(reasons)}). Take the bundle from its author again, or pass the author's key.",
        code=Code.REFUSED,
    )


def check_required_signature(bundle: Bundle) -> None:
    """Refuse a bundle without a trusted signature, where `LOCISCOPE_REQUIRE_SIGNED` names keys.

    Raises:
        LociscopeError: As `verify_bundle`.
    """
    keys = [Path(each) for each in os.environ.get(REQUIRED_KEYS, "").split(os.pathsep) if each]
    if keys:
        verify_bundle(bundle, keys)


def _signed_digests(signature: bytes) -> dict[str, str]:
    """Return the sha256 of each file that a signature is of; empty where it is none."""
    try:
        payload = json.loads(base64.b64decode(json.loads(signature)["dsseEnvelope"]["payload"]))
        return {each["name"]: each["digest"] for each in payload["predicate"]["resources"]}
    except (ValueError, KeyError, TypeError):
        return {}


def _check_file(key: Path) -> None:
    try:
        key.read_bytes()
    except OSError as error:
        raise unreadable_error(key, error, "key") from error


def _import_library() -> ModuleType:
    try:
        import model_signing
    except ImportError:
        raise MissingExtraError("Signatures of bundles", "sign") from None
    return model_signing
