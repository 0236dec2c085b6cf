"""Signatures of webhooks, after Standard Webhooks 1.0 (github.com/standard-webhooks)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def signature_headers(
    message_id: str, timestamp: int, body: bytes, key: str | None
) -> dict[str, str]:
    """Headers that name a message, and prove where there is a key who sent it and when.

    Args:
        message_id: the same each time that this message is sent.
        timestamp: epoch seconds of this sending.
        key: any text, or `whsec_` and base64.
    """
    headers = {
        "Idempotency-Key": message_id,
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    if key is not None:
        headers["webhook-signature"] = signature(message_id, timestamp, body, key)
    return headers


def signature(message_id: str, timestamp: int, body: bytes, key: str) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key_bytes(key), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _key_bytes(key: str) -> bytes:
    if key.startswith(_PREFIX):
        try:
            return base64.b64decode(key.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            pass
    return key.encode()
