-- Schema 2: figures of plants by rule sets, and the documents that they were computed with.
-- Append only: a changed figure is another row with the next revision.

CREATE TABLE figure_document (                          -- plant descriptions and rule sets, as they were hashed
    hash    BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    kind    TEXT    NOT NULL CHECK (kind IN ('plant', 'rule_set')),
    name    TEXT    NOT NULL,
    bytes   BLOB    NOT NULL,
    utc_ms  INTEGER NOT NULL                            -- first used by this bridge
) STRICT, WITHOUT ROWID;

CREATE TABLE figure (
    id                INTEGER PRIMARY KEY AUTOINCREMENT,
    plant             TEXT    NOT NULL,
    plant_hash        BLOB    NOT NULL REFERENCES figure_document (hash),
    rule_set          TEXT    NOT NULL,
    rule_version      TEXT    NOT NULL,
    rule_hash         BLOB    NOT NULL REFERENCES figure_document (hash),
    engine            TEXT    NOT NULL,
    measurand         TEXT    NOT NULL,
    layer             TEXT    NOT NULL,
    level             TEXT    NOT NULL,
    start_utc_ms      INTEGER NOT NULL,
    end_utc_ms        INTEGER NOT NULL CHECK (end_utc_ms > start_utc_ms),
    unit              TEXT    NOT NULL,
    value             REAL,
    is_valid          INTEGER NOT NULL CHECK (is_valid IN (0, 1)),
    flags             TEXT    NOT NULL,                 -- JSON array, sorted
    state             TEXT    NOT NULL,
    n_expected        INTEGER NOT NULL,
    n_valid           INTEGER NOT NULL,
    n_invalid         TEXT    NOT NULL,                 -- JSON object, cause -> count, keys sorted
    minimum           REAL,
    maximum           REAL,
    deviation         REAL,
    uncertainty       REAL,
    substituted_share REAL    NOT NULL,
    decimals          INTEGER NOT NULL,
    inputs            TEXT    NOT NULL,                 -- JSON array of [device, first seq, last seq, head hash, set hash]
    revision          INTEGER NOT NULL,
    reason            TEXT    NOT NULL,
    made_utc_ms       INTEGER NOT NULL,
    UNIQUE (plant, rule_set, measurand, layer, level, start_utc_ms, end_utc_ms, revision)
) STRICT;
CREATE INDEX figure_by_time ON figure (plant, level, start_utc_ms);
