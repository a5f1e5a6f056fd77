"""English: the numbers and addresses of HIPAA Safe Harbor (45 CFR 164.514(b)(2))."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule

RULES: Final = (
    Rule(
        "email", Kind.EMAIL, re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}", re.ASCII), 0.99
    ),
)
