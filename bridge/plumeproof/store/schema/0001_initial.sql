-- Schema 1 of the gateway's ledger. Numbered, never edited after release.
-- Times are Unix/UTC milliseconds, hashes 32-byte blobs. Append only: only outbox, head, cursor and averaging_* change.

CREATE TABLE record (
    position        INTEGER PRIMARY KEY AUTOINCREMENT,  -- commit order over all modules; cursors point here
    device          TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    kind            INTEGER NOT NULL,
    boot            INTEGER NOT NULL,
    content_hash    BLOB    NOT NULL CHECK (length(content_hash) = 32),
    utc_ms          INTEGER,                            -- the module's estimate at sealing
    received_utc_ms INTEGER NOT NULL,
    envelope        BLOB    NOT NULL,
    UNIQUE (device, seq)
) STRICT;

CREATE TABLE head (
    device       TEXT    PRIMARY KEY,
    seq          INTEGER NOT NULL,
    content_hash BLOB    NOT NULL CHECK (length(content_hash) = 32),
    boot         INTEGER NOT NULL,
    mono_ms      INTEGER NOT NULL,
    next_slot    INTEGER NOT NULL,
    is_frozen    INTEGER NOT NULL CHECK (is_frozen IN (0, 1))
) STRICT;

CREATE TABLE hole (
    device        TEXT    NOT NULL,
    first_seq     INTEGER NOT NULL,
    last_seq      INTEGER NOT NULL CHECK (last_seq >= first_seq),
    found_utc_ms  INTEGER NOT NULL,
    PRIMARY KEY (device, first_seq)
) STRICT;

CREATE TABLE quarantine (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    device          TEXT    NOT NULL,                   -- module of the line it came from
    seq             INTEGER,                            -- as the frame header claimed
    content_hash    BLOB,                               -- as the frame header claimed
    code            TEXT    NOT NULL,                   -- errors.EvidenceError.code
    detail          TEXT    NOT NULL,
    raw             BLOB    NOT NULL,
    received_utc_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX quarantine_by_seq ON quarantine (device, seq);

CREATE TABLE parameter_part (
    parameters_hash BLOB    NOT NULL CHECK (length(parameters_hash) = 32),
    part            INTEGER NOT NULL,
    parts           INTEGER NOT NULL,
    bytes           BLOB    NOT NULL,
    PRIMARY KEY (parameters_hash, part)
) STRICT;

CREATE TABLE average (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    device          TEXT    NOT NULL,
    channel         TEXT    NOT NULL,
    quantity        TEXT    NOT NULL,
    unit            TEXT    NOT NULL,
    interval_s      INTEGER NOT NULL,
    start_utc_ms    INTEGER NOT NULL,
    n_expected      INTEGER NOT NULL,
    n_valid         INTEGER NOT NULL,
    n_invalid       TEXT    NOT NULL,                   -- JSON object, cause -> count, keys sorted
    mean            REAL,
    minimum         REAL,
    maximum         REAL,
    deviation       REAL,
    first_seq       INTEGER NOT NULL,
    last_seq        INTEGER NOT NULL,
    head_hash       BLOB    NOT NULL,
    parameters_hash BLOB    NOT NULL,
    rule            TEXT    NOT NULL,
    rule_version    TEXT    NOT NULL,
    summation       TEXT    NOT NULL,                   -- name of the order of summation
    revision        INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    made_utc_ms     INTEGER NOT NULL,
    UNIQUE (device, interval_s, start_utc_ms, channel, rule, rule_version, revision)
) STRICT;

CREATE TABLE averaging_state (                          -- one row a module; moves with the cursor of averaging
    device      TEXT    PRIMARY KEY,
    seq         INTEGER NOT NULL,                       -- newest record seen
    slot_utc_ms INTEGER,                                -- its newest slot
    longest_ms  INTEGER NOT NULL                        -- longest span of a samples record: bounds every search by time
) STRICT;

CREATE TABLE averaging_open (                           -- intervals with slots that are in no average yet
    device       TEXT    NOT NULL,
    interval_s   INTEGER NOT NULL,
    start_utc_ms INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    PRIMARY KEY (device, interval_s, start_utc_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE averaging_span (                           -- where on the UTC axis the slots of a record lie
    device       TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    is_overflow  INTEGER NOT NULL CHECK (is_overflow IN (0, 1)),
    first_utc_ms INTEGER NOT NULL,
    end_utc_ms   INTEGER NOT NULL CHECK (end_utc_ms > first_utc_ms),
    PRIMARY KEY (device, is_overflow, first_utc_ms, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE averaging_skipped (                        -- records with slots that are not averaged
    device          TEXT    NOT NULL,
    seq             INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    parameters_hash BLOB    NOT NULL,
    PRIMARY KEY (device, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE cursor (                                   -- how far a stage has come
    stage    TEXT    NOT NULL,
    device   TEXT    NOT NULL DEFAULT '',
    position INTEGER NOT NULL,
    PRIMARY KEY (stage, device)
) STRICT;

CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    sink            TEXT    NOT NULL,
    module          TEXT    NOT NULL,
    place           REAL    NOT NULL,                   -- order within sink and module; parts of a split share a span
    kind            TEXT    NOT NULL CHECK (kind IN ('envelope', 'average', 'report')),
    key             TEXT    NOT NULL,
    body            BLOB,                               -- NULL: the envelope of (module, seq)
    seq             INTEGER,
    attributes      TEXT    NOT NULL DEFAULT '{}',      -- JSON object of strings: topic parts, user properties
    state           TEXT    NOT NULL CHECK (state IN ('waiting', 'closed', 'split', 'quarantined')) DEFAULT 'waiting',
    attempts        INTEGER NOT NULL DEFAULT 0,
    due_utc_ms      INTEGER NOT NULL DEFAULT 0,
    created_utc_ms  INTEGER NOT NULL,
    last_reason     TEXT    NOT NULL DEFAULT '',
    UNIQUE (sink, key)
) STRICT;
CREATE INDEX outbox_waiting ON outbox (sink, module, place) WHERE state = 'waiting';

CREATE TABLE receipt (
    outbox_id       INTEGER PRIMARY KEY REFERENCES outbox (id),
    sink            TEXT    NOT NULL,
    proof           BLOB    NOT NULL,                   -- JSON
    received_utc_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (                                    -- what a person or the bridge did that must stay visible
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    utc_ms  INTEGER NOT NULL,
    code    TEXT    NOT NULL,
    detail  TEXT    NOT NULL
) STRICT;
