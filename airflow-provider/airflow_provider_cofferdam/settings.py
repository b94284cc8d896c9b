"""Where tasks run: what a connection or the configuration says, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_cofferdam.fault import Exit, Fault

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from airflow_provider_cofferdam.config import Config


@dataclass(frozen=True)
class Settings:
    """All that a runner needs. Never serialised: the token may be in it."""

    socket: str | None = None
    server: str | None = None
    ca: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    token_file: str | None = None
    token: str | None = field(default=None, repr=False)
    binary: str | None = None
    config: str | None = None
    environment: tuple[str, ...] = ()
    patience: float = 60.0

    @property
    def is_service(self) -> bool:
        """Whether a service runs the tasks; else the binary on this machine does."""
        return self.socket is not None or self.server is not None

    @classmethod
    def of_config(cls, config: Config) -> Settings:
        """For a deployment without a connection."""
        if config.socket and config.server:
            raise _wrong("[cofferdam] has `socket` and `server`", "keep one of the two")
        if config.socket and not config.socket.startswith("/"):
            raise _wrong("[cofferdam] socket is no absolute path", "write the path from `/` on")
        found = cls(
            socket=config.socket,
            server=_address(config.server, "[cofferdam] server") if config.server else None,
            ca=config.ca,
            client_certificate=config.client_certificate,
            client_key=config.client_key,
            token_file=config.token_file,
            binary=config.binary,
            config=config.config,
            environment=config.environment,
            patience=config.patience,
        )
        found._check("[cofferdam]")
        return found

    @classmethod
    def of_connection(cls, connection: Connection, config: Config) -> Settings:
        """For a connection; what it does not say of the binary, the configuration does."""
        name = f"connection `{connection.conn_id}`"
        extra = connection.extra_dejson
        host = (connection.host or "").strip()
        socket = host if host.startswith("/") else None
        server = _address(host, f"the host of {name}") if host and socket is None else None

        def text(key: str) -> str | None:
            value = extra.get(key)
            if value is not None and not isinstance(value, str):
                raise _wrong(f"`{key}` in the extra of {name} is no text", "write a path")
            return (value or "").strip() or None

        found = cls(
            socket=socket,
            server=server,
            ca=text("ca"),
            client_certificate=text("client_certificate"),
            client_key=text("client_key"),
            token_file=text("token_file"),
            token=(connection.password or "").strip() or None,
            binary=text("binary") or config.binary,
            config=text("config") or config.config,
            environment=config.environment,
            patience=_patience(extra.get("patience"), config.patience, name),
        )
        found._check(name)
        return found

    def _check(self, name: str) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            raise _wrong(
                f"{name} has one of `client_certificate` and `client_key`",
                "a certificate is shown with its key: name both, or neither",
            )
        if self.token and self.token_file:
            raise _wrong(f"{name} has a password and a `token_file`", "keep one of the two")
        proofs = (self.ca, self.client_certificate, self.token_file, self.token)
        if self.server is None and any(proofs):
            raise _wrong(
                f"{name} has a certificate or a token and no `https://` address",
                "a Unix socket and the binary take neither; take them out, or name the service",
            )


def _address(text: str, where: str) -> str:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_bare = not (parts.username or parts.password or parts.query or parts.fragment)
    is_right = parts.scheme == "https" and parts.hostname and is_bare and parts.path in ("", "/")
    if not is_right:
        # The address is not repeated: it may hold `user:password@`.
        raise _wrong(f"{where} is no address of a service", "write `https://HOST:PORT`, or a path")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"https://{host}:{port or 443}"


def _patience(value: Any, default: float, name: str) -> float:
    if value in (None, ""):
        return default
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise _wrong(f"`patience` in the extra of {name} is no number", "write seconds, such as 60")
    return seconds


def _wrong(message: str, hint: str) -> Fault:
    return Fault(message, exit=Exit.USAGE, hint=hint)
