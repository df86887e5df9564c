"""Texts that broke mail somewhere, for tests that try any content."""

from hypothesis import strategies as st

from app.mail.header_words import one_line

# Everything that ever broke a mail: line ends, controls, dots, blanks, "From ", boundaries, surrogates.
nasty_pieces = st.sampled_from(
    [
        "\r\n", "\n", "\r", "\x00", "\x0b", "\x85", "\u2028", "\u2029", "\ufeff", "\ud800", "\udfff", ".",
        "\n.", "\n..", "\n.\n", "From ", "\nFrom ", "  ", " \n", "\t", "\t\n", "=", "=\n", "=3D",
        "--=_0000004d_chaski", "é",
        "ñandú", "日本語", "😀", "<", ">", "&", '"', "'", "&amp;", "\nBcc: otro@example.pe",
        "=?utf-8?q?x?=", "a" * 80, "🇵🇪" * 30, "x" * 75, "y" * 76, "\u200b", "\xa0", "%0d%0a",
        ",", ";", "\\", "(", ")", "@", ":",
    ]
)  # fmt: skip
nasty_text = st.lists(nasty_pieces | st.text(max_size=20), max_size=8).map("".join)
# Literal template text holds no brace; fields stand between.
literal = nasty_text.map(lambda text: text.replace("{", "("))
FIELDS = ("nombre", "ciudad", "ruc")
template = st.lists(literal | st.sampled_from([f"{{{{ {field} }}}}" for field in FIELDS]), max_size=8).map("".join)
header_template = template.map(lambda source: one_line(source)[:400])
values = st.fixed_dictionaries(dict.fromkeys(FIELDS, nasty_text))
