"""Columns of a health record (SPEC.md section 4.3): what stands where in its arrays.

In a file of their own because the module needs none: sampler.py and health.py write the columns in this order, and
tests/contract/ compares.
"""

# Row of one analyzer since the boot. Column n < 8: blocks that ended with outcome n, 0 a value, then causes.GAP_*
EXCEPTIONS = 8  # blocks that ended with an exception, whichever, or unconfirmed (causes.GAP_UNCONFIRMED)
POLLS = 9  # requests, the repeated ones included; a block that is read twice to be confirmed counts once
RETRIES = 10  # repeated requests
ROUND_LEAST_US = 11  # from the request's last byte to the answer's last byte; 0: no value so far
ROUND_LAST_US = 12
ROUND_MOST_US = 13
ROW_COLUMNS = 14

# HEALTH_LINK
LINK_GOOD = 0
LINK_DROPPED = 1
LINK_FOREIGN = 2
LINK_COLUMNS = 3

# HEALTH_JOURNAL
JOURNAL_TORN = 0
JOURNAL_FAULTS = 1
JOURNAL_WAITING = 2
JOURNAL_COLUMNS = 3

ELEMENT_COUNTER_MAX = 2097151  # where the counter of an ATECC608 ends (data sheet chapter 5, Counter)
COUNT_MAX = 2**30 - 1  # counters go round here: no integer above it is small on 32-bit words
