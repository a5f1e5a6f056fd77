"""What `import medicalgpt` offers beside the classes that live in the rooms: training, runs, data and publishing as functions.

Each function does what the command of its name does, through the same code, and raises the errors of `medicalgpt.errors`.
"""
