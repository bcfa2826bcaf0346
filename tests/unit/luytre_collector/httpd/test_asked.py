"""From a request to a question, without a store."""

from __future__ import annotations

import pytest
from luytre_collector.httpd.asked import Login, asked, split
from luytre_collector.httpd.wire import Request
from luytre_collector.store.guest import AnswerError


def test_what_a_url_says() -> None:
    path, parameters = split("/?query=SELECT%201&param_a=%E1%BA%BF&max_threads=2&session_id=x&max_threads=3&empty=")
    assert path == "/"
    one = asked(Request("GET", "", {}), parameters)
    assert one.question.sql == "SELECT 1"
    assert one.question.parameters == {"a": "ế"}
    assert one.question.settings == {"max_threads": "3", "empty": ""}
    assert (one.question.form, one.question.database, one.login) == ("TabSeparated", "", Login())


def test_headers_win() -> None:
    headers = {"x-clickhouse-format": "CSV", "x-clickhouse-database": "a", "x-clickhouse-query-id": "q"}
    one = asked(Request("GET", "", headers), {"default_format": "JSON", "database": "b"})
    assert (one.question.form, one.question.database, one.query_id) == ("CSV", "a", "q")
    assert one.question.settings == {}


@pytest.mark.parametrize(
    ("accepts", "on", "taken"),
    [
        ("gzip", "1", True),
        ("lz4, zstd,x-gzip;q=0.5", "1", True),
        ("gzip;q=0.000", "1", False),
        ("gzip", "0", False),
        ("br, *", "1", False),
        ("", "1", False),
    ],
)
def test_whether_gzip_is_taken(accepts: str, on: str, taken: bool) -> None:
    request = Request("GET", "", {"accept-encoding": accepts})
    assert asked(request, {"enable_http_compression": on}).compressed is taken


@pytest.mark.parametrize("target", ["/?a=%ff", "/?" + "&".join(f"a{n}=1" for n in range(301))])
def test_urls_that_cannot_be_read(target: str) -> None:
    with pytest.raises(AnswerError) as refused:
        split(target)
    assert refused.value.code == 36


def test_what_is_not_served() -> None:
    request = Request("POST", "", {"content-type": "multipart/form-data; boundary=x"}, b"--x--")
    with pytest.raises(AnswerError, match="multipart"):
        asked(request, {})
