"""What of an address signs it, scheme by scheme, and what chooses the picture."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweenbatch.records.signatures import unsigned

PLACE = "https://files.example.com/frames/a.png"


def v4(vendor: str, *, day: str) -> str:
    names = "Algorithm Credential Date Expires SignedHeaders Signature"
    return "&".join(f"X-{vendor}-{name}={day}" for name in names.split())


SCHEMES = {
    "S3, V4": lambda day: v4("Amz", day=day),
    "S3, V4, with a session": lambda day: f"{v4('Amz', day=day)}&X-Amz-Security-Token={day}",
    "S3, V4, of newer SDKs": lambda day: f"{v4('Amz', day=day)}&x-id=GetObject",
    "S3, V2": lambda day: f"AWSAccessKeyId=AKIA&Expires={day}&Signature=s%2B{day}",
    "GCS, V4": lambda day: v4("Goog", day=day),
    "GCS, V2": lambda day: f"GoogleAccessId=me%40x.iam&Expires={day}&Signature=s{day}",
    "CloudFront, canned": lambda day: f"Expires={day}&Signature=s{day}&Key-Pair-Id=K1",
    "CloudFront, custom": lambda day: f"Policy=p{day}&Signature=s{day}&Key-Pair-Id=K{day}",
    "Azure, service": lambda day: f"sv=2024-11-04&st={day}&se={day}1&sr=b&sp=r&sig=s{day}",
    "Azure, account": lambda day: f"sv=2024-11-04&ss=b&srt=o&sp=r&se={day}&sig=s%2F{day}",
    "Azure, delegated": lambda day: (
        f"skoid=u&sktid=t&skt={day}&ske={day}&sks=b&skv=2024-11-04&sp=r&sv=2024-11-04"
        f"&se={day}&sr=b&sig={day}"
    ),
    "Discord": lambda day: f"ex=6a{day}&is=6b{day}&hm=6c{day}&",
    "OSS, V1": lambda day: f"OSSAccessKeyId=L&Expires={day}&Signature=s{day}",
    "OSS, V4": lambda day: (
        f"x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=L%2F{day}&x-oss-date={day}"
        f"&x-oss-expires=86400&x-oss-signature=s{day}"
    ),
    "COS": lambda day: f"q-sign-algorithm=sha1&q-ak=A&q-sign-time={day}&q-signature={day}",
    "OBS": lambda day: f"AccessKeyId=A&Expires={day}&Signature=s{day}",
    "TOS": lambda day: v4("Tos", day=day),
    "Qiniu": lambda day: f"e={day}&token=ak:{day}",
    "Backblaze": lambda day: f"Authorization=3_{day}",
    "SharePoint": lambda day: f"tempauth=v1.{day}",
    "Cloudflare": lambda day: f"verify=17{day}-x%2F{day}%3D",
    "Bunny": lambda day: f"token=t{day}&expires={day}",
    "Fastly": lambda day: f"token=17{day}_0a{day}",
    "Akamai": lambda day: f"hdnts=st={day}~exp={day}~acl=/*~hmac=0a{day}",
    "Supabase": lambda day: f"token=eyJhbGciOiJ9.eyJ{day}.s-{day}",
    "Laravel": lambda day: f"expires={day}&signature=s{day}",
    "Notion's file host": lambda day: f"expirationTimestamp={day}&signature=s{day}",
    "nginx": lambda day: f"md5=m{day}&expires={day}",
    "anybody": lambda day: f"exp={day}&sig=s{day}",
}  # fmt: skip
DAYS = ("20261129", "20261130")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("besides", ["", "v=3", "x-oss-process=image%2Fresize", "versionId=8"])
def test_what_signs_an_address_is_left_out_and_nothing_else(scheme: str, besides: str) -> None:
    first, second = (SCHEMES[scheme](day) for day in DAYS)
    assert first != second
    for signed in (first, second):
        query = f"{besides}&{signed}" if besides else signed
        assert unsigned(f"{PLACE}?{query}") == (f"{PLACE}?{besides}" if besides else PLACE)


@pytest.mark.parametrize(
    "query",
    [
        *("v=3", "Expires=1", "token=a.png", "e=4", "verify=yes", "ex=1&is=2", "sig=1", "exp=1"),
        *("X-Amz-Date=20261129T000000Z", "X-Goog-Expires=60", "sv=2024-11-04&sp=r", "key=s"),
        *("x-oss-process=image%2Fresize,w_300", "versionId=1", "signature=none", "policy=a"),
        *("token=1764500000", "token=eyJ.png", "Key-Pair-Id=K", "AWSAccessKeyId=A&Expires=1"),
        *("", "=", "&", "a&b&c", "?"),
    ],
)
def test_where_a_scheme_is_not_whole_every_parameter_counts(query: str) -> None:
    assert unsigned(f"{PLACE}?{query}") == f"{PLACE}?{query}"


def test_a_download_token_of_firebase_signs_its_file_and_no_other_address() -> None:
    file = "https://firebasestorage.googleapis.com/v0/b/x.appspot.com/o/frames%2Fa.png?alt=media"
    assert unsigned(f"{file}&token=5e1f") == file
    assert unsigned(f"{PLACE}?alt=media&token=5e1f") == f"{PLACE}?alt=media&token=5e1f"


def test_the_place_and_the_fragment_stay() -> None:
    signed = SCHEMES["S3, V4"]("1")
    assert unsigned(f"{PLACE}?{signed}#top") == f"{PLACE}#top"
    assert unsigned(f"{PLACE}#top?{signed}") == f"{PLACE}#top?{signed}"
    assert unsigned(f"https://b.example.com/a.png?{signed}") == "https://b.example.com/a.png"


@given(st.text())
def test_an_address_without_its_signature_has_none_left(text: str) -> None:
    once = unsigned(text)
    assert unsigned(once) == once
    assert unsigned(f"{PLACE}?{SCHEMES['Discord']('1')}{text}").startswith(PLACE)
