"""`python -m messages`: catalogues in step with the source, compiled, and how much of each room is translated."""

from messages import WHOLE
from messages.catalogues import compile_all, shares, update
from messages.sources import messages, wordings

update(messages(), wordings)
compile_all()
for room, (told, of) in shares().items():
    print(f"{room:12} {told:5} of {of:5} translated{'  (whole)' if room in WHOLE else ''}")
