"""Every block of Python in the guides runs as it stands."""

import re

import pytest


@pytest.mark.parametrize("page", ["guide", "extend", "start"])
def test_the_blocks_of_a_page_run_in_order(root, tmp_path, monkeypatch, page):
    monkeypatch.chdir(tmp_path)
    text = (root / "docs" / f"{page}.md").read_text()
    blocks = re.findall(r"^```python\n(.+?)^```", text, re.S | re.M)
    assert blocks or page == "start"
    names = {"__name__": "__docs__"}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"docs/{page}.md, block {number}", "exec"), names)
