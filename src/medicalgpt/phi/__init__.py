"""Personal data in Chinese and English text: found, and masked, replaced or removed. Offline; nothing here writes or logs text.

```python
from medicalgpt.phi import Detector, Operator

detector, operator = Detector(), Operator("mask")
fields = ["患者王建国来诊。", "联系电话13812345678"]
masked = operator.apply_document(fields, detector.find_document(fields))
```
"""

from medicalgpt.phi.detector import DETECTORS, LANGUAGES, Detector
from medicalgpt.phi.foreign import Finder
from medicalgpt.phi.kinds import Kind
from medicalgpt.phi.operators import OPERATORS, Operator
from medicalgpt.phi.propagate import standing
from medicalgpt.phi.spans import Span, merged

__all__ = [
    "DETECTORS",
    "LANGUAGES",
    "OPERATORS",
    "Detector",
    "Finder",
    "Kind",
    "Operator",
    "Span",
    "merged",
    "standing",
]
