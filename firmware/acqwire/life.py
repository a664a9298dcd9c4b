"""The last faults of a module, in the answer FAULTS. SPEC.md section 2.2. The module needs no such names."""

FAULTS_MAX = 16  # in one answer, oldest first; code 0: none
FAULT_FORMAT = ">BII"  # causes.FAULT_*, boot, seconds since that boot; both 0 where nobody could note them
FAULT_BYTES = 9
