"""The page as HTML: whatever is written in it is shown, never obeyed, and nothing in it has an address to ask."""

import json
import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from search.page.document import Chart, Part, Picture, Report, Section, Statement, Table
from search.page.render import html
from search.page.report import report_of
from tests.search.page.test_files import chart

VOID = {"meta", "link", "br", "img", "hr", "input"}
ASKING = ("src", "href", "srcset", "action", "data", "poster", "formaction", "background", "ping")
HOSTILE = "%41</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}\udcff\x1b[31m\u202e"


class Parsed(HTMLParser):
    """Elements with their attributes, the texts of styles and scripts, and whatever a reader sees."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.inside, self.open, self.text = [], {"style": [], "script": []}, [], ""
        self.feed(page)
        self.close()
        assert self.open == [], "every element is closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]].append(data)
        else:
            self.text += data


def addresses(page):
    """Everything that a browser would ask for."""
    found = [value for _, attributes in page.elements for name, value in attributes.items() if name in ASKING]
    styles = page.inside["style"] + [attributes.get("style") or "" for _, attributes in page.elements]
    found += [each for text in styles for each in re.findall(r"url\(([^)]*)\)|@import\s+([^;]*)", text)]
    return [each for each in found if not str(each).startswith(("#", "data:"))]


@pytest.fixture(scope="module")
def page(finished):
    return html(report_of([finished]))


def test_a_page_has_no_address_to_ask(page):
    parsed = Parsed(page)
    assert addresses(parsed) == []
    assert not {"iframe", "object", "embed", "form", "base"} & {tag for tag, _ in parsed.elements}
    (charts,) = [text for text in parsed.inside["script"] if text.startswith("{")]
    assert "://" not in charts, "data and settings of charts, without the address of a schema"
    (policy,) = [each["content"] for _, each in parsed.elements if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "http" not in policy


def test_an_address_would_be_seen():
    assert addresses(Parsed('<img src="//a.b/c"><p style="background: url(http://x)"></p>')) != []
    assert addresses(Parsed("<style>@import 'x.css';</style>")) != []


def test_every_link_leads_to_a_section_and_every_id_is_there_once(page):
    parsed = Parsed(page)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert links(parsed) and links(parsed) <= set(ids)


def links(page):
    """Where they lead, as a browser reads it."""
    return {unquote(attributes["href"]).removeprefix("#") for tag, attributes in page.elements if tag == "a"}


def test_every_chart_has_a_place_and_every_place_a_chart(page):
    parsed = Parsed(page)
    places = [attributes["data-chart"] for _, attributes in parsed.elements if "data-chart" in attributes]
    (charts,) = [text for text in parsed.inside["script"] if text.startswith("{")]
    assert places and list(json.loads(charts)) == places


def test_every_picture_and_chart_is_told_to_those_who_do_not_see(page):
    for tag, attributes in Parsed(page).elements:
        assert tag != "img" or attributes["alt"]
        assert "data-chart" not in attributes or attributes["aria-label"]


def hostile_report(text):
    blocks = [
        Statement(f"s.{text}", text, text, (0.1, 0.2), 0.01, text, command=text),
        Table("t", text, (text, "n"), [[text, 1.0]], note=text),
        Chart("c", text, chart(rows=({"at": 1, "of": text},)).chart, caption=text),
        Picture("p", text, b"content", text, caption=text),
    ]
    sections = [Section("answer", text, blocks), Section("folded", text, blocks[:1], is_folded=True)]
    return Report(text, text, [(text, text)], [Part(text, text, sections)])


def test_hostile_text_is_shown_everywhere_and_obeyed_nowhere():
    usual, hostile = Parsed(html(hostile_report("usual"))), Parsed(html(hostile_report(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in usual.elements]
    assert [sorted(each) for _, each in hostile.elements] == [sorted(each) for _, each in usual.elements]
    assert addresses(hostile) == []
    assert links(hostile) <= {attributes.get("id") for _, attributes in hostile.elements}
    seen = HOSTILE.replace("\udcff\x1b", r"\xff\x1b").replace("\u202e", r"\u202e")
    assert hostile.text.count(seen) == usual.text.count("usual"), "none is lost"
    html(hostile_report(HOSTILE)).encode()  # text, as a whole
    (charts,) = [text for text in hostile.inside["script"] if text.startswith("{")]
    assert json.loads(charts)["c"]["data"]["values"][0]["of"] == seen
