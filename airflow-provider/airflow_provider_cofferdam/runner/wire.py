"""What the service's API looks like on the wire, for the task and for the trigger."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from airflow_provider_cofferdam.fault import Exit, Fault
from airflow_provider_cofferdam.log import LogEntry, harmless
from airflow_provider_cofferdam.report import Report
from airflow_provider_cofferdam.runner.contract import Ending

if TYPE_CHECKING:
    from collections.abc import Generator

    from httpx_sse import ServerSentEvent

    from airflow_provider_cofferdam.settings import Settings

# The longest that one request waits for a run's end, in seconds; more is refused.
WAIT = 60
CONNECT = 5.0
# A service says every ten seconds on a quiet log that it is there.
SILENCE = 30.0
# Nothing but a cancellation and a wait takes longer.
ANSWER = 30.0
PROBLEM = "application/problem+json"
_PASSING_STATUS = (429, 502, 503, 504)


class Passing(Exception):
    """A call that did not come through and may be repeated as it is."""

    def __init__(
        self, fault: Fault, *, retry_after: float | None = None, is_sent: bool = False
    ) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.retry_after = retry_after
        # The service may have done what was asked.
        self.is_sent = is_sent


class Place:
    """A service, and how to come to it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.name = settings.socket or settings.server or ""
        self.base = settings.server or "http://cofferdam"

    def client(self) -> httpx.Client:
        """A client that reads nothing of this process's environment: no proxy, no `.netrc`."""
        transport = httpx.HTTPTransport(
            verify=self._tls(), uds=self._settings.socket, trust_env=False
        )
        return httpx.Client(
            base_url=self.base,
            transport=transport,
            auth=self._auth(),
            timeout=timeout(ANSWER),
            trust_env=False,
        )

    def async_client(self) -> httpx.AsyncClient:
        """The same for the triggerer's loop."""
        transport = httpx.AsyncHTTPTransport(
            verify=self._tls(), uds=self._settings.socket, trust_env=False
        )
        return httpx.AsyncClient(
            base_url=self.base,
            transport=transport,
            auth=self._auth(),
            timeout=timeout(ANSWER),
            trust_env=False,
        )

    def _auth(self) -> httpx.Auth | None:
        settings = self._settings
        if settings.token_file or settings.token:
            return _Bearer(settings.token_file, settings.token)
        return None

    def _tls(self) -> ssl.SSLContext | bool:
        settings = self._settings
        if settings.server is None:
            # Nothing is verified on a socket, and reading authorities takes its time.
            return False
        try:
            tls = ssl.create_default_context(cafile=settings.ca)
        except (OSError, ssl.SSLError):
            raise _wrong(
                f"`ca` names {settings.ca}, which holds no certificates that can be read",
                "name a PEM file with the authorities that vouch for the service",
            ) from None
        if settings.client_certificate and settings.client_key:
            try:
                tls.load_cert_chain(
                    settings.client_certificate,
                    settings.client_key,
                    # A key with a password would ask for it at a terminal that nobody watches.
                    password=lambda: "",
                )
            except (OSError, ssl.SSLError):
                raise _wrong(
                    f"`client_certificate` {settings.client_certificate} and `client_key` "
                    f"{settings.client_key} are no pair that can be read",
                    "name two PEM files that this user may read; the key without a password",
                ) from None
        return tls

    def log_request(
        self, client: httpx.Client | httpx.AsyncClient, run: str, after: int
    ) -> httpx.Request:
        """For the stream of a log, from after this line."""
        return client.build_request(
            "GET",
            f"/v1/runs/{run}/log?after={after}",
            headers={"accept": "text/event-stream", "cache-control": "no-store"},
            timeout=timeout(SILENCE),
        )

    def entry(self, event: ServerSentEvent | None) -> LogEntry | None:
        """What an event of a log says: a line, or none at the log's end.

        :raises Passing: when the log ended before its end, or cannot be read.
        """
        if event is None:
            raise self.broken_log()
        if event.event == "end":
            return None
        try:
            return LogEntry.parse(json.loads(event.data))
        except ValueError:
            raise self.broken_log() from None

    def failed(self, error: httpx.TransportError | httpx.DecodingError) -> Passing:
        """What a failed transport means, by whether the request can have arrived."""
        unsent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
        return self.passing(error, is_sent=not isinstance(error, unsent))

    def passing(self, error: Exception, *, is_sent: bool) -> Passing:
        """What a failed transport means.

        :raises Fault: when it is no use to repeat the call.
        """
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise Fault(
                    f"the certificate of {self.name} is not trusted",
                    exit=Exit.USAGE,
                    hint="name the authority that issued it as `ca`, in the connection or under "
                    "[cofferdam]; if nothing was changed, somebody may stand between",
                ) from None
            if isinstance(cause, ssl.SSLError) and "alert" in str(cause).lower():
                raise Fault(
                    f"the service at {self.name} does not let us in: it wants a certificate, "
                    "or another",
                    exit=Exit.DENIED,
                    hint="name `client_certificate` and `client_key`, in the connection or under "
                    "[cofferdam]; the service's `client_ca` says who issues them",
                ) from None
        hint = "is `cofferdam serve` up, and is this the `socket` of its [server] table?"
        if self._settings.server:
            hint = "is `cofferdam serve` up, and does it listen there?"
        what = "the connection to the service broke" if is_sent else "cannot connect to the service"
        # The text of the error alone: the error holds the request, and that the token.
        fault = Fault(f"{what} at {self.name} ({_short(error)})", exit=Exit.UNAVAILABLE, hint=hint)
        return Passing(fault, is_sent=is_sent)

    def document(self, response: httpx.Response) -> dict[str, Any]:
        """The document of an answer that was read.

        :raises Passing: when it is worth asking again.
        :raises Fault: when it is not.
        """
        try:
            document = response.json()
        except (ValueError, UnicodeDecodeError):
            document = None
        if response.is_success and isinstance(document, dict):
            return document
        kind = response.headers.get("content-type", "").split(";")[0].strip()
        if kind == PROBLEM and isinstance(document, dict):
            raise _refusal(document)
        fault = Fault(
            f"the answer of {self.name} is not one of cofferdam's (status {response.status_code})",
            exit=Exit.USAGE,
            hint="look at what listens there, and at its version and ours",
        )
        if response.status_code in _PASSING_STATUS:
            # Something between the service and us.
            fault.exit = Exit.UNAVAILABLE
            raise Passing(fault, retry_after=_seconds(response.headers.get("retry-after")))
        raise fault

    def stream_begins(self, response: httpx.Response) -> bool:
        """Whether an answer is a log; else read it, and ask :meth:`document` why not."""
        kind = response.headers.get("content-type", "").split(";")[0].strip()
        return response.is_success and kind == "text/event-stream"

    def broken_log(self) -> Passing:
        """A log that ended without its end, or says what no log says."""
        fault = Fault(f"the log that {self.name} sends broke off", exit=Exit.UNAVAILABLE)
        return Passing(fault, is_sent=True)


class _Bearer(httpx.Auth):
    """Says who we are with a token that is read for each call, so that whoever renews it need
    not tell us."""

    def __init__(self, file: str | None, token: str | None) -> None:
        self._file = file
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._read()}"
        yield request

    def _read(self) -> str:
        if self._file is None:
            token, where = self._token or "", "the connection's password"
        else:
            where = f"`token_file` {self._file}"
            try:
                token = Path(self._file).read_text(encoding="ascii").strip()
            except (OSError, UnicodeDecodeError):
                raise _wrong(f"{where} cannot be read", "check the path and its rights") from None
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise _wrong(f"{where} holds no token", "it holds the token alone, in one line")
        return token


def timeout(read: float) -> httpx.Timeout:
    """The times of one call."""
    return httpx.Timeout(ANSWER, connect=CONNECT, read=read)


def is_over(view: dict[str, Any]) -> bool:
    """Whether nothing of a run changes any more."""
    return view.get("state") in ("ended", "lost")


def ending_of(view: dict[str, Any]) -> Ending:
    """The end of a run that is over.

    :raises Fault: when its report cannot be read.
    """
    run = str(view.get("run"))
    if view.get("state") == "lost":
        return Ending(run=run, is_swept=view.get("swept") is True)
    try:
        report = Report.parse(view.get("report"))
    except ValueError:
        raise Fault(
            f"the service's report of run {run} cannot be read",
            exit=Exit.RETRY,
            hint="look at the service's version and ours",
        ) from None
    return Ending(run=run, report=report, is_stopped=view.get("cancelled_by") == "service")


def is_other(event: ServerSentEvent | None) -> bool:
    """Whether an event of a log is of a kind that only a later service has."""
    return event is not None and event.event not in ("line", "end")


def _refusal(problem: dict[str, Any]) -> Exception:
    code = problem.get("exit")
    fault = Fault(
        harmless(str(problem.get("detail") or problem.get("title") or "the service refused")),
        exit=code if isinstance(code, int) and code != Exit.DONE else Exit.USAGE,
        hint=problem.get("hint"),
    )
    seconds = _seconds(problem.get("retry_after"))
    # The service says so when asking again helps; a task whose files are broken is not passing.
    return fault if seconds is None else Passing(fault, retry_after=seconds)


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _causes(error: BaseException | None) -> Generator[BaseException, None, None]:
    seen = 0
    while error is not None and seen < 10:
        yield error
        error = error.__cause__ or error.__context__
        seen += 1


def _short(error: Exception) -> str:
    return harmless(str(error))[:200] or type(error).__name__


def _wrong(message: str, hint: str) -> Fault:
    return Fault(message, exit=Exit.USAGE, hint=hint)
