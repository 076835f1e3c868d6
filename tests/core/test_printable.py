"""What comes from elsewhere cannot rewrite a terminal."""

from vr.core.printable import printable


def test_control_characters_are_spelled_out():
    hostile = "a\x1b]0;title\x07b\x1b[2Jc\x7fd\x9b31me\rf"
    assert printable(hostile) == "a\\x1b]0;title\\x07b\\x1b[2Jc\\x7fd\\x9b31me\\x0df"


def test_text_stays_as_it_is():
    text = "gr\u00fc\u00dfe,\t\u6570\u636e\nnext line"
    assert printable(text) == text
