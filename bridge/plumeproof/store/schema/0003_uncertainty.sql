-- Schema 3: the part of a figure's uncertainty that longer averages keep; NULL in figures made before.

ALTER TABLE figure ADD COLUMN uncertainty_common REAL;
