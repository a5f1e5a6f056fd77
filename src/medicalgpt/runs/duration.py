"""Spans of time in words."""


def duration(seconds: float) -> str:
    """About how long: "45 s", "57 min", "3 h 20 min", "2 d 4 h"; a negative span is none."""
    left = max(0, round(seconds))
    if left < 100:
        return f"{left} s"
    minutes = round(left / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours + (minutes >= 30), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
