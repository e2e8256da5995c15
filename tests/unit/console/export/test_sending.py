import pytest

from console.export.sending import Span, span_of


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, Span(0, 100)),
        ("bytes=0-", Span(0, 100)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=99-", Span(99, 100)),
        ("bytes=10-19", Span(10, 20)),
        ("bytes=10-1000", Span(10, 100)),
        ("bytes=-1", Span(99, 100)),
        ("bytes=-1000", Span(0, 100)),
        ("bytes=100-", None),
        ("bytes=-0", None),
        ("bytes=20-10", Span(0, 100)),
        ("bytes=0-1,5-6", Span(0, 100)),
        ("bytes=-", Span(0, 100)),
        ("bytes=x-y", Span(0, 100)),
        ("lines=0-1", Span(0, 100)),
        ("bytes=٣-", Span(0, 100)),
    ],
)
def test_range_is_what_the_header_says_or_all_of_it(header: str | None, span: Span | None) -> None:
    assert span_of(header, 100) == span


def test_empty_file_has_no_range_to_give() -> None:
    assert span_of("bytes=0-", 0) is None
    assert span_of(None, 0) == Span(0, 0)
