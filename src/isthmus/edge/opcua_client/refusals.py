"""What an OPC UA server's "no" means to a plant engineer: the code, what it says and the mend."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from isthmus.model.errors import DeviceAway, DeviceRefuses

_MENDS: Final[Mapping[str, str]] = {
    "BadUserAccessDenied": "it does not accept this user and password; check `user` and `password`",
    "BadIdentityTokenRejected": "it does not accept this user; check `user`, `password` or `user_certificate`",
    "BadIdentityTokenInvalid": "it does not take this sort of log-in; check `user`, `password` or `user_certificate`",
    "BadUserSignatureInvalid": "`user_key` does not belong to `user_certificate`; give the pair that belongs together",
    "BadApplicationSignatureInvalid": "our certificate and its key do not belong together; remove both from the folder "
    "of `certificates`, and a right pair is made at the next try",
    "BadCertificateUriInvalid": "it finds another application URI in our certificate than we announce; "
    "remove the certificate from the folder of `certificates`, and a right one is made at the next try",
    "BadCertificateUntrusted": "it does not trust our certificate yet; accept it at the server, in its list of "
    "rejected certificates",
    "BadSecurityChecksFailed": "it turned our certificate down without saying why; most often it must be accepted "
    "at the server, in its list of rejected certificates",
    "BadCertificateInvalid": "it finds our certificate invalid; check the server's clock, then accept it there",
    "BadCertificateTimeInvalid": "it finds our certificate expired or not yet valid; check both clocks",
    "BadCertificateIssuerTimeInvalid": "an issuer of our certificate has expired",
    "BadCertificateRevoked": "it has our certificate on its list of revoked ones",
    "BadCertificateUseNotAllowed": "our certificate may not be used for this; give one for client authentication",
    "BadCertificateHostNameInvalid": "the host name is not in the certificate; use the name that stands in it",
    "BadCertificateChainIncomplete": "it lacks an issuer of our certificate; install the issuer at the server",
    "BadSecurityPolicyRejected": "it has no such security policy; set `security` to one that it has",
    "BadSecurityModeRejected": "it has no such security mode; set `mode` to one that it has",
    "BadSecurityModeInsufficient": "it wants more security than this; set `security` to a policy that it has",
    "BadTooManySessions": "all its sessions are taken; close another client, or wait until a lost session times out",
    "BadMaxConnectionsReached": "all its connections are taken; close another client",
    "BadLicenseExpired": "its licence has expired",
    "BadLicenseNotAvailable": "it has no licence for another client",
    "BadLicenseLimitsExceeded": "its licence allows no more clients or tags",
    "BadTcpEndpointUrlInvalid": "it does not answer to this address; write `url` as its endpoint says it",
    "BadServiceUnsupported": "it has no subscriptions; set `poll_s` to read it in turns",
}
_WAIT: Final = frozenset({"BadTooManySessions", "BadMaxConnectionsReached"})
"""Refusals that pass by themselves."""


@contextmanager
def in_words(url: str) -> Iterator[None]:
    """Turn whatever goes wrong on the wire into DeviceAway or DeviceRefuses, with a sentence.

    asyncua raises what its parsers raise when a server sends garbage, so these are caught too.
    """
    from asyncua.ua.uaerrors import UaError  # noqa: PLC0415  heavy, and not needed to read the plant file

    try:
        yield
    except DeviceAway:
        raise
    except TimeoutError as error:
        msg = f"{url} did not answer in time; it may be frozen, or a firewall swallows the connection"
        raise DeviceAway(msg) from error
    except ConnectionRefusedError as error:
        msg = f"{url} refuses the connection: nobody listens there; is the server running, is the port right?"
        raise DeviceAway(msg) from error
    except OSError as error:
        reason = error.strerror or "the connection was closed"
        msg = f"{url} cannot be reached: {reason}; check the cable, the address and the server"
        raise DeviceAway(msg) from error
    except UaError as error:
        raise of_code(url, error) from error
    except (ValueError, KeyError, IndexError, struct.error) as error:
        msg = f"{url} sent what is not OPC UA ({error}); does another service listen on this port?"
        raise DeviceAway(msg) from error


def of_code(url: str, error: Exception) -> DeviceAway:
    """The sentence for a status code that a server answered with."""
    name = type(error).__name__
    if name not in _MENDS:
        return DeviceAway(f"{url} answers {name}: {str(error).partition('(')[0].strip().rstrip('.') or 'no reason'}")
    sort = DeviceAway if name in _WAIT else DeviceRefuses
    return sort(f"{url} says {name}: {_MENDS[name]}")


def turned_down(url: str) -> DeviceRefuses:
    """The sentence for a server that opens no channel and whose code did not reach us."""
    return DeviceRefuses(f"{url} opens no secure channel: {_MENDS['BadSecurityChecksFailed']}")
