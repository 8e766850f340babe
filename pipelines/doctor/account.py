"""Whoever asks Google Cloud."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import requests
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from tenfold.errors import TenfoldError

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOGIN = "gcloud auth application-default login"
#: How long one waits for an answer.
SECONDS = 5


class GoogleError(TenfoldError):
    """Google Cloud gives no answer."""


@dataclass(frozen=True)
class Account:
    """The application default credentials.

    Attributes:
        session: that speaks for it.
        email: of a service account; a person's is not told.
    """

    session: Any
    email: str | None

    @classmethod
    def default(cls, log_in: bool) -> Self:
        """Find the credentials.

        Args:
            log_in: try them, too.

        Raises:
            GoogleError: there are no credentials, or they are no longer good.
        """
        import google.auth
        from google.auth.transport.requests import AuthorizedSession, Request

        try:
            found, _ = google.auth.default(scopes=[_SCOPE])
            if log_in:
                found.refresh(functools.partial(Request(), timeout=SECONDS))  # type: ignore[no-untyped-call]
        except DefaultCredentialsError:
            raise GoogleError(f"no application default credentials; {_LOGIN}") from None
        except GoogleAuthError as error:
            raise GoogleError(
                f"the application default credentials are refused ({error}); {_LOGIN}"
            ) from None
        session: Any = AuthorizedSession(found, refresh_timeout=SECONDS)  # type: ignore[no-untyped-call]
        return cls(session, getattr(found, "service_account_email", None))

    def __str__(self) -> str:
        return self.email or "your login"

    @property
    def member(self) -> str:
        """It, as policies name it."""
        return f"serviceAccount:{self.email}" if self.email else "user:YOUR_MAIL"

    def lacks(self, resource: str, permissions: Sequence[str]) -> list[str]:
        """Return the permissions that it does not have.

        Args:
            resource: address of what they are on.
            permissions: to ask for.

        Raises:
            GoogleError: nobody says.
        """
        address = f"{resource}:testIamPermissions"
        try:
            answer = self.session.post(
                address, json={"permissions": list(permissions)}, timeout=SECONDS
            )
            told = answer.json()
        except (requests.RequestException, GoogleAuthError) as error:
            raise GoogleError(f"{address} does not answer: {error}") from None
        if not answer.ok:
            reason = told.get("error", {}).get("message", answer.reason)
            raise GoogleError(f"{address} answers {answer.status_code}: {reason}")
        return [name for name in permissions if name not in told.get("permissions", ())]
