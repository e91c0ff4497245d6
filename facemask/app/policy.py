"""A header that keeps the browser from loading anything from other machines."""

from typing import Any, Final

_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'"
)


class ContentPolicy:
    """ASGI middleware that adds a Content-Security-Policy: everything comes from here.

    Args:
        app: The application inside.
    """

    def __init__(self, app: Any) -> None:  # noqa: ANN401  # ASGI has no types of its own
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        """Answer one request."""

        async def with_policy(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                header = (b"content-security-policy", _POLICY.encode())
                message["headers"] = [*message.get("headers", []), header]
            await send(message)

        await self._app(scope, receive, with_policy)
