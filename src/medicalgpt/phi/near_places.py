"""Villages and farms near people, which nothing but their form tells; see `near_people`."""

import re
from typing import Final

from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.rules import Rule
from medicalgpt.phi.zh_places import A, W

RULES: Final = (
    Rule(
        "village near people",
        Kind.ADDRESS,
        re.compile(
            rf"(?P<v>(?!回){A}{{2,5}}[镇鎮乡鄉]{W}{{1,5}}?[屯村庄莊寨坝壩湾灣坪沟溝圩]{{1,2}}(?:{W}{{0,3}}?[组組社队隊])?)(?![民委卫衛医醫里支落干級级])"
        ),
        0.66,
        wanted=lambda v: not re.match(r"[本全各该該某两兩一每城都农農多]", v),
        needs="镇鎮乡鄉",
    ),
    Rule(
        "team of a farm near people",
        Kind.ADDRESS,
        re.compile(
            rf"{W}{{2,6}}?(?:[农農林牧渔漁茶][场場]|兵?[团團])[一二三四五六七八九十\d]{{1,3}}[队隊连連](?:{W}{{1,4}}[组組])?"
        ),
        0.66,
        needs="场場团團",
    ),
)
"""In no order; `spans.merged` prefers the surer one."""
