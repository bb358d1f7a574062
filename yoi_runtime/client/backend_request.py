"""Tornado adapter: one plain HTTP request to a Runtime."""

from __future__ import annotations

from http import HTTPStatus

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError, UnsatisfiableReadError
from tornado.simple_httpclient import HTTPTimeoutError, SimpleAsyncHTTPClient

from yoi_runtime.client.backend_client import connect_failed
from yoi_runtime.client.resume import Answered, ConnectFailed, ConnectFault, answered
from yoi_runtime.client.settings import ClientSettings

__all__ = ["get"]

# A page of a transcript holds whole texts; what is larger is no page of ours.
_MAX_BODY_BYTES = 64 << 20


async def get(url: str, token: str | None, settings: ClientSettings) -> bytes | ConnectFailed | Answered:
    """Return the body of a 200. ``token`` goes into the Authorization header, and a redirect is not followed."""
    request = HTTPRequest(
        url,
        headers={} if token is None else {"Authorization": f"Bearer {token}"},
        connect_timeout=settings.connect_timeout_seconds,
        request_timeout=settings.request_timeout_seconds,
        follow_redirects=False,
        decompress_response=False,
        ssl_options=settings.ssl_context,
    )
    # An instance of its own: nothing is left of it on the loop, and no other user's settings apply.
    client = SimpleAsyncHTTPClient(force_instance=True, max_body_size=_MAX_BODY_BYTES)
    try:
        response = await client.fetch(request)
    except HTTPTimeoutError:
        return ConnectFailed("Timeout", ConnectFault.TIMEOUT)
    except HTTPClientError as error:
        if error.response is None:
            return ConnectFailed(error.message, ConnectFault.HANDSHAKE)
        return answered(error.code, error.response.body, error.response.headers.get("Retry-After"))
    except (StreamClosedError, UnsatisfiableReadError):
        return ConnectFailed("the peer broke off in its answer", ConnectFault.HANDSHAKE)
    except OSError as error:
        return connect_failed(error)
    finally:
        client.close()
    return response.body if response.code == HTTPStatus.OK else Answered(response.code)
