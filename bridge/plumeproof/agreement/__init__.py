"""One measurement, many tongues: whether every paper, packet and payload says of an hour what the signed figure says.

Readers take the numbers back out of each tongue's own bytes, as its receiver would; signed.py knows what they must be;
comparison.py names each that is not. bridge/AGREEMENT.md is the page for people.
"""
