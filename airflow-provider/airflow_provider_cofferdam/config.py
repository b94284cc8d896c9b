"""The section ``[cofferdam]`` of Airflow's configuration."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_cofferdam.compat import conf

SECTION = "cofferdam"
MAX_RESULT_BYTES = 1 << 20
PATIENCE = 60.0


@dataclass(frozen=True)
class Config:
    """What the deployment says; a connection says more."""

    socket: str | None = None
    server: str | None = None
    ca: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    token_file: str | None = None
    binary: str | None = None
    config: str | None = None
    environment: tuple[str, ...] = ()
    max_result_bytes: int = MAX_RESULT_BYTES
    tasks_file: str | None = None
    audit_url: str | None = None
    patience: float = PATIENCE

    @classmethod
    def load(cls) -> Config:
        names = (_text("environment") or "").split(",")
        return cls(
            socket=_text("socket"),
            server=_text("server"),
            ca=_text("ca"),
            client_certificate=_text("client_certificate"),
            client_key=_text("client_key"),
            token_file=_text("token_file"),
            binary=_text("binary"),
            config=_text("config"),
            environment=tuple(name.strip() for name in names if name.strip()),
            max_result_bytes=int(_number("max_result_bytes", MAX_RESULT_BYTES)),
            tasks_file=tasks_file(),
            audit_url=_text("audit_url"),
            patience=_number("patience", PATIENCE),
        )


def tasks_file() -> str | None:
    """Alone, since every operator of a DAG folder asks for it."""
    return _text("tasks_file")


def _text(name: str) -> str | None:
    return (conf.get(SECTION, name, fallback=None) or "").strip() or None


def _number(name: str, default: float) -> float:
    text = _text(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"[{SECTION}] {name} is `{text}`; write a number that is not negative")
    return number
