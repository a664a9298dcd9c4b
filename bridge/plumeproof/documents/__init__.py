"""Documents: what a plant hands to verifiers, buyers and authorities, from the figures that the bridge made.

Every document is one object (JSON) and one sheet: HTML and PDF with the same words.
"""
