"""Questions whose answers are written and measured by themselves: against a short reference, or by a judge against a rubric."""
