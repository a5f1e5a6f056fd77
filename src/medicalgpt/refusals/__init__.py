"""Did an answer refuse? Told without a judge, by weights whose own error is known; for rewards and evaluation."""
