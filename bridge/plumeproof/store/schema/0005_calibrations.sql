-- Schema 5: calibration records found without a pass over all records.

CREATE INDEX record_calibration ON record (device, seq) WHERE kind = 8;  -- the agreement's kind; a question names it so too
