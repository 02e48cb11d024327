"""HTML of notebooks: every cell is escaped, but markup of our own."""

from raypipe.core.markup import Markup, html_facts, html_table

BAD = "<script>alert('x')</script>"


def test_cells_and_headings_are_escaped() -> None:
    for shown in (html_table((BAD,), [(BAD, 1)]), html_facts({BAD: BAD}, BAD)):
        assert "<script" not in shown
        assert shown.startswith("<table>")
        assert shown.endswith("</table>")
        assert "&lt;script&gt;" in shown


def test_our_own_markup_stays() -> None:
    assert html_table(("a",), [(Markup("<b>1</b>"),)]).count("<td><b>1</b></td>") == 1


def test_a_table_without_rows() -> None:
    assert html_table((), []) == "<table><thead><tr></tr></thead><tbody></tbody></table>"
    assert html_facts({}) == "<table></table>"
