"""Does a model give away what it was trained on? Planted secrets, and training rows that it goes on with word by word."""
