"""Pictures named by URL, when nothing is to be fetched: refused, and nobody sees a key."""

from __future__ import annotations

from .cases import MISSING, OUTSIDE, Built, Case, Reason

KEY = "k3y-t0-a-bucket"
NOT_FETCHED = Reason.IMAGE_URL_NOT_FETCHED


def url(name: str, text: str, reason: Reason = NOT_FETCHED) -> Case:
    """Return a case of a URL; the key in it is shown nowhere."""
    hidden = (KEY,) if KEY in text else ()
    return Case(f"url {name}", "url", reason, lambda _: Built(text), hidden)


CASES: list[Case] = [
    url("http", "http://images.example/a.png"),
    url("https", "https://images.example/a.png"),
    url("in capitals", "HTTPS://IMAGES.EXAMPLE/A.PNG"),
    url("of ftp", "ftp://images.example/a.png"),
    url("of a bucket", "s3://bucket/a.png"),
    url("of another bucket", "gs://bucket/a@b.png"),
    url("of the hub", "hf://datasets/org/name/a.png"),
    url("in an archive", "zip://a.png::https://images.example/a.zip"),
    url("of this machine", "http://127.0.0.1:9/a.png"),
    url("of a metadata service", "http://169.254.169.254/latest/meta-data/"),
    url("of a socket", "unix:///run/docker.sock"),
    url("of gopher", "gopher://127.0.0.1:6379/_FLUSHALL"),
    url("of a script", "javascript://%0aalert(1)"),
    url("with a space before", " https://images.example/a.png"),
    url("with spaces inside", "https://images.example/a b.png"),
    url("in unicode", "https://bücher.example/猫.png"),
    url("without a host", "https:///a.png"),
    url("of a bracket", "https://[::1/a.png"),
    url("of 100 kB", "https://images.example/" + "a" * 100_000),
    url("with a line end", "https://images.example/a.png\r\nHost: other.example"),
    url("with a password", f"https://me:{KEY}@images.example/a.png"),
    url("with a user", f"https://{KEY}@images.example/a.png"),
    url("with two passwords", f"https://a:b@c:{KEY}@images.example/a.png"),
    url("with a signature", f"https://images.example/a.png?X-Amz-Signature={KEY}"),
    url("with a token behind a path", f"https://images.example/a.png?a=/b@c&token={KEY}"),
    url("with a token and no path", f"https://images.example?token={KEY}"),
    url("with a token in its fragment", f"https://a.example/b#t={KEY}"),
    url("with a slash in its password", f"https://me:{KEY}/x@a.example/b"),
    url("without its scheme", "images.example/a.png", MISSING),
    url("of the page's scheme", "//images.example/a.png", MISSING),
    url("of one slash", "https:/images.example/a.png", MISSING),
    url("of a colon forgotten", "https//images.example/a.png", MISSING),
    url("of a file elsewhere", "file://images.example/a.png", OUTSIDE),
    url("in markdown", "[a](https://images.example/a.png)", MISSING),
    url("in angles", "<https://images.example/a.png>", MISSING),
]
