"""The evidence bundle (BUNDLE.md): written from a ledger, judged on a machine that has never seen the plant.

Data order: zip, arrays, columns and figure_columns hold the form; anchors and writing make one; strips, records, day,
averages, terms, figures and receipts judge what is in one; checking goes through the whole, verdict shows it.
"""
