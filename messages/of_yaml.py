"""What PyYAML says is wrong with a text, as `config/yaml_text.py` hands it on: where it was, and what came there.

A test compares the tables with the errors that the installed PyYAML raises.
"""

WHERE = (
    "while scanning for the next token",
    "while scanning a directive",
    "while scanning an alias",
    "while scanning an anchor",
    "while scanning a tag",
    "while scanning a block scalar",
    "while scanning a quoted scalar",
    "while scanning a double-quoted scalar",
    "while scanning a simple key",
    "while parsing a tag",
    "while parsing a block collection",
    "while parsing a block mapping",
    "while parsing a flow sequence",
    "while parsing a flow mapping",
    "while parsing a node",
    "while parsing a block node",
    "while parsing a flow node",
    "expected a single document in the stream",
    "found duplicate anchor '{name}'",  # these two come together
    "first occurrence",
)
# What stands in a text, and the one place for it in each message: PyYAML names it in angle brackets or quotes its character.
FOUND = (
    "found character {type} that cannot start any token",
    "expected alphabetic or numeric character, but found {type}",
    "expected a digit or '.', but found {type}",
    "expected a digit or ' ', but found {type}",
    "expected a digit, but found {type}",
    "expected ' ', but found {type}",
    "expected '!', but found {type}",
    "expected '>', but found {type}",
    "expected URI, but found {type}",
    "expected a comment or a line break, but found {type}",
    "expected chomping or indentation indicators, but found {type}",
    "expected indentation indicator in the range 1-9, but found 0",
    "expected URI escape sequence of 2 hexadecimal numbers, but found {type}",
    "expected escape sequence of {count} hexadecimal numbers, but found {type}",
    "expected <block end>, but found {type}",
    "expected <document start>, but found {type}",
    "expected ',' or ']', but got {type}",
    "expected ',' or '}}', but got {type}",
    "expected the node content, but found {type}",
    "found unexpected end of stream",
    "found unexpected document separator",
    "found unknown escape character {type}",
    "found duplicate YAML directive",
    "found incompatible YAML document (version 1.* is required)",
    "found undefined tag handle '{name}'",
    "found undefined alias '{name}'",
    "duplicate tag handle '{name}'",
    "could not find expected ':'",
    "sequence entries are not allowed here",
    "mapping keys are not allowed here",
    "mapping values are not allowed here",
    "but found another document",
    "second occurrence",
)
TOKENS = tuple(
    f"<{name}>"
    for name in (
        *("alias", "anchor", "directive", "scalar", "tag"),
        *("block mapping start", "block sequence start", "block end"),
        *("document start", "document end", "stream start", "stream end"),
    )
)
YAML = (*WHERE, *FOUND, *TOKENS)
