"""The trade's rules: from first level data to validated averages, loads and substituted hours. Legal floor.

Each file states one rule with standard and clause; a rule set (rule_set.py, sets/*.json) says which of them apply and
with which numbers. Nothing here reads a clock, a ledger or a network.
"""
