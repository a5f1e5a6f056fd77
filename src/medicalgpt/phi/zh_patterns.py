"""Chinese numbers and addresses of the mainland."""

import re
from typing import Final

from medicalgpt.phi.checksums import resident_id
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule

RULES: Final = (
    Rule("resident id", Kind.NATIONAL_ID, re.compile(r"(?<![\dA-Za-z])\d{17}[\dXx](?![\dA-Za-z])"), 0.9, resident_id),
    Rule("mobile", Kind.PHONE, re.compile(r"(?<!\d)1[3-9]\d{9}(?!\d)"), 0.9),
)
