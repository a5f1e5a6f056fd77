"""What an answer is worth: reward models and how good they are, functions of the user, and their sum."""
