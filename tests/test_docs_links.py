"""Every relative link in the pages leads to a file, and to the heading it names."""

import functools
import pathlib
import re
import runpy
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Those of the site.
PAGES = runpy.run_path(ROOT / "docs/site/hook.py")["PAGES"]
MINIMUM_LINKS = 60


def pages(root):
    return sorted(page for pattern in PAGES for page in root.glob(pattern))


def without_code(text):
    """The text of a page without its fenced and indented blocks."""
    text = re.sub(r"^(```|~~~).*?^\1$", "", text, flags=re.S | re.M)
    return re.sub(r"^ {4,}.*$", "", text, flags=re.M)


def links(page):
    """The targets of the links and pictures of a page that are not on the web."""
    text = re.sub(r"`[^`\n]*`", "", without_code(page.read_text()))
    targets = re.findall(r"\]\(\s*([^)\s]+)[^)]*\)", text)
    targets += re.findall(r"^\[[^\]]+\]:\s*(\S+)", text, re.M)
    targets += re.findall(r"""\b(?:src|href)=["']([^"']+)""", text)
    return [target for target in targets if not urllib.parse.urlsplit(target).scheme]


@functools.cache
def anchors(page):
    """The anchors that GitHub makes of a page's headings."""
    found = {}
    for heading in re.findall(
        r"^#+ +(.+?) *#* *$", without_code(page.read_text()), re.M
    ):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = found[slug] = found.get(slug, -1) + 1
        found |= {f"{slug}-{count}": 0} if count else {}
    return set(found)


def test_every_link_leads_to_a_file_and_a_heading(root):
    checked = 0
    for page in pages(root):
        for target in links(page):
            path, _, anchor = urllib.parse.unquote(target).partition("#")
            place = (page.parent / path).resolve() if path else page
            name = f"{page.relative_to(root)}: {target}"
            assert place.exists(), name
            assert place.is_relative_to(root), f"{name} leads out of the project"
            if anchor:
                assert place.suffix == ".md", name
                assert anchor in anchors(place), f"{name}: no such heading"
            checked += 1
    assert checked >= MINIMUM_LINKS


def test_every_page_and_picture_is_linked(root):
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in pages(root)
        for target in links(page)
    }
    for path in [*root.glob("docs/*.md"), *root.glob("docs/images/*")]:
        assert path.resolve() in linked, f"no page links to {path.relative_to(root)}"


def test_the_gallery_has_every_picture(root):
    gallery = root / "docs/gallery.md"
    shown = {(gallery.parent / target).resolve() for target in links(gallery)}
    for path in root.glob("docs/images/*"):
        assert path.resolve() in shown, f"{path.name} is not in docs/gallery.md"


def test_links_are_found_where_a_reader_sees_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A `title`, twice\n\n[a](one.md) ![b](two.png) `[c](code.md)`\n\n"
        "    [d](indented.md)\n\n```\n# no heading\n[e](fenced.md)\n```\n\n"
        '[f](https://example.org/x.md) [g](#a-title-twice "words")\n\n'
        "## A title, twice\n\n## With a [link](three.md)\n"
    )
    assert links(page) == ["one.md", "two.png", "#a-title-twice", "three.md"]
    assert anchors(page) == {"a-title-twice", "a-title-twice-1", "with-a-link"}
