"""Keys and numbers of a calibration record (SPEC.md section 4.3): integer keys 80 to 89 of the record map.

In a file of their own, beside fields.py, because only a module whose parameter set has `calibrations` needs them.
"""

CALIBRATION_MARK = 80  # uint                index into `calibrations` of the parameter set
CALIBRATION_ANALYZER = 81  # uint            index into its `analyzers`: whose channels do not measure
CALIBRATION_PHASE = 82  # uint               PHASE_* below
CALIBRATION_STATE = 83  # uint               BEGIN or END
CALIBRATION_SLOT = 84  # uint                first slot of this boot in which it is so
CALIBRATION_SLOT_MONO_MS = 85  # uint, ms    planned monotonic time of that slot

MARKS_MAX = 32  # entries of `calibrations`
RECORDS_MAX = 8  # behind one samples record

END = 0
BEGIN = 1

PHASE_ZERO = 1  # zero gas or zero reflector
PHASE_SPAN = 2  # test gas or reference filter at span
PHASE_LINEARITY = 3  # several reference points
PHASE_PURGE = 4  # back-flushing, and waiting for the reading to come back
PHASE_MAINTENANCE = 5  # somebody works on it

# Words of the parameter set, by phase
PHASE_NAMES = (
    (1, "zero"),
    (2, "span"),
    (3, "linearity"),
    (4, "purge"),
    (5, "maintenance"),
)
