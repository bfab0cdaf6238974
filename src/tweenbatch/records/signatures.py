"""Remove the signature from an image URL: URLs that differ only in it name the same image.

Storage services sign a URL anew for each export. A parameter counts as part of a signature only
if all required parameters of its scheme are present. Any other may select another image.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class _Scheme:
    """The required and the optional parameters of a signing scheme, in lower case."""

    needs: frozenset[str]
    allows: frozenset[str]


def _scheme(needs: str, allows: str = "") -> _Scheme:
    return _Scheme(frozenset(needs.split()), frozenset(allows.split()))


# Listed one by one: x-oss-process and versionId, for example, select the delivered content.
_SCHEMES = (
    # S3 and compatible services: Signature Version 4 and 2.
    _scheme(
        "x-amz-credential x-amz-signature",
        "x-amz-algorithm x-amz-date x-amz-expires x-amz-signedheaders x-amz-security-token"
        " x-amz-content-sha256 x-amz-checksum-mode x-id",
    ),
    _scheme("awsaccesskeyid signature expires", "x-amz-security-token"),
    # Google Cloud Storage, V4 and V2.
    _scheme(
        "x-goog-credential x-goog-signature",
        "x-goog-algorithm x-goog-date x-goog-expires x-goog-signedheaders x-goog-content-sha256",
    ),
    _scheme("googleaccessid signature expires"),
    # CloudFront, with a canned and with a custom policy.
    _scheme("key-pair-id signature", "expires policy hash-algorithm"),
    # Azure: a shared access signature of an account, a service, or a user's delegation.
    _scheme(
        "sv sig",
        "ss srt sp se st spr sip si sr sdd ses skoid sktid skt ske sks skv saoid suoid scid",
    ),
    # Discord.
    _scheme("ex is hm"),
    # Alibaba OSS, V1 and V4; Tencent COS; Huawei OBS; Volcengine TOS; Qiniu.
    _scheme("ossaccesskeyid signature expires", "security-token"),
    _scheme(
        "x-oss-credential x-oss-signature",
        "x-oss-signature-version x-oss-date x-oss-expires x-oss-additional-headers"
        " x-oss-security-token",
    ),
    _scheme(
        "q-ak q-signature",
        "q-sign-algorithm q-sign-time q-key-time q-header-list q-url-param-list"
        " x-cos-security-token",
    ),
    _scheme("accesskeyid signature expires", "x-obs-security-token"),
    _scheme(
        "x-tos-credential x-tos-signature",
        "x-tos-algorithm x-tos-date x-tos-expires x-tos-signedheaders x-tos-security-token",
    ),
    _scheme("e token"),
    # Backblaze and Baidu; SharePoint.
    _scheme("authorization"),
    _scheme("tempauth"),
)

_SIGNERS = frozenset({"signature", "sig", "sign", "hmac", "token", "verify", "md5"})
_ENDS = frozenset(
    {"expires", "exp", "expire", "expiry", "expiration", "expires_at", "expirationtimestamp"}
)
"""An unknown service's scheme: a signature together with an expiry time."""

_TIMED = re.compile(r"\d{10}[-_].")
_AKAMAI = re.compile(r"(^|.*~)exp=\d+~.*hmac=")
_BY_VALUE: Mapping[str, tuple[re.Pattern[str], ...]] = MappingProxyType(
    {
        # Supabase uses a JSON Web Token; Cloudflare and Fastly a time and a digest.
        "token": (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*$"), _TIMED, _AKAMAI),
        "verify": (_TIMED,),
        **dict.fromkeys(("hdnts", "hdnea", "__token__", "__cld_token__"), (_AKAMAI,)),
    }
)
"""Parameters whose value alone identifies a signature."""

_FIREBASE = re.compile(r"https://[^/]+/v0/b/[^/]+/o/[^/]+$")


def unsigned(url: str) -> str:
    """Return the URL without its signature; an unsigned URL is returned unchanged."""
    base, mark, rest = url.partition("?")
    if not mark or "#" in base:
        return url
    query, hash_mark, fragment = rest.partition("#")
    members = query.split("&")
    names = tuple([member.partition("=")[0] for member in members])
    signing = _signing(names)
    if not _BY_VALUE.keys().isdisjoint(names):
        signing |= frozenset(_signing_by_value(base, names, members))
    if not signing:
        return url
    pairs = zip(names, members, strict=True)
    kept = "&".join([member for name, member in pairs if member and name not in signing])
    return f"{base}{kept and '?'}{kept}{hash_mark}{fragment}"


@lru_cache(maxsize=1_000)
def _signing(names: tuple[str, ...]) -> frozenset[str]:
    """Return the parameters that their names identify as parts of a signature."""
    lower = {name.lower() for name in names}
    signing: set[str] = set()
    for scheme in _SCHEMES:
        if scheme.needs <= lower:
            signing |= scheme.needs | scheme.allows
    if not (_SIGNERS.isdisjoint(lower) or _ENDS.isdisjoint(lower)):
        signing |= _SIGNERS | _ENDS
    return frozenset(name for name in names if name.lower() in signing)


def _signing_by_value(base: str, names: Sequence[str], members: Sequence[str]) -> Iterator[str]:
    for name, member in zip(names, members, strict=True):
        value = unquote(member.partition("=")[2])
        if any(pattern.match(value) for pattern in _BY_VALUE.get(name, ())):
            yield name
    if "alt" in names and _FIREBASE.match(base):
        yield "token"
