"""The campaign of figures: plants and records drawn from seeds, through the engine and through a slow one.

Every figure of every level must be equal: existence, validity, counts, flags, states and named records exactly, values
within 1e-9. What is drawn, and the slow engine, stand in tests/doubles (random_plant, slow_*).
"""
